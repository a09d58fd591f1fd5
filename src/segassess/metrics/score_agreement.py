"""Agreement of estimated scores of masks or objects with the true ones."""

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


def average_precision(estimated: Sequence[float], true: Sequence[float], wrong_below: float) -> float:
    """Average precision, in [0, 1], of finding what truly scores below a limit by sorting by estimates, lowest first.

    NaN if nothing, or everything, scores below the limit.
    """
    from torchmetrics.functional.classification import binary_average_precision

    wrong = torch.tensor([score < wrong_below for score in true], dtype=torch.long)
    if not 0 < int(wrong.sum()) < len(wrong):
        return math.nan
    return float(binary_average_precision(1 - torch.tensor(estimated).clamp(0, 1), wrong))
