"""Agreement of estimated scores of masks with the true ones."""

import math
from collections.abc import Sequence

import torch


def score_agreement(estimated: Sequence[float], true: Sequence[float]) -> dict[str, float]:
    """`mae`, `pearson`, `spearman` (NaN where undefined) and `number` of pairs; a NaN true score does not count."""
    # Slow to import, and needed only with ground truth.
    from torchmetrics.functional import mean_absolute_error, pearson_corrcoef, spearman_corrcoef

    pairs = torch.tensor([pair for pair in zip(estimated, true, strict=True) if not math.isnan(pair[1])])
    if len(pairs) == 0:
        return {"mae": math.nan, "pearson": math.nan, "spearman": math.nan, "number": 0.0}
    first, second = pairs.T.contiguous()
    related = len(pairs) > 1 and bool(first.std() > 0) and bool(second.std() > 0)
    return {
        "mae": float(mean_absolute_error(first, second)),
        "pearson": float(pearson_corrcoef(first, second)) if related else math.nan,
        "spearman": float(spearman_corrcoef(first, second)) if related else math.nan,
        "number": float(len(pairs)),
    }
