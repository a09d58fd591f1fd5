"""How well scores predicted for whole images agree with the true ones."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import mean_absolute_error, pearson_corrcoef, spearman_corrcoef

from segassess.quality import FN, FP, TP, encode


def expected_iou(probabilities: Tensor, valid: Tensor) -> Tensor:
    """Estimated IoU of each mask from its quality probabilities: sum P(TP) / sum (P(TP) + P(FP) + P(FN)).

    Args:
        probabilities: float (B, 4, H, W).
        valid: bool (B, 1, H, W).

    Returns:
        float64 (B,) in [0, 1]; 1 where neither mask nor errors are expected at all.
    """
    sums = (probabilities * valid).double().sum(dim=(2, 3))
    union = sums[:, TP] + sums[:, FP] + sums[:, FN]
    return torch.where(union > 0, sums[:, TP] / union.clamp(min=1e-12), 1.0)


def true_iou(mask: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """IoU of each mask with its truth, all (B, 1, H, W): float64 (B,), NaN where both are empty."""
    quality = encode(mask, truth).masked_fill(~valid, -1).flatten(1)
    hit = (quality == TP).sum(dim=1).double()
    union = hit + ((quality == FP) | (quality == FN)).sum(dim=1)
    return hit / union


def _concatenated(state: list[Tensor] | Tensor) -> Tensor:
    """A "cat" state of torchmetrics: a list before synchronisation, one tensor after it."""
    if isinstance(state, Tensor):
        return state
    return torch.cat(state) if state else torch.empty(0)


class ScoreAgreement(Metric):
    """MAE, Pearson and Spearman correlation of estimated and true IoU over images, gathered from all ranks."""

    full_state_update = False
    estimated: list[Tensor]
    true: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("estimated", default=[], dist_reduce_fx="cat")
        self.add_state("true", default=[], dist_reduce_fx="cat")

    def update(self, estimated: Tensor, true: Tensor) -> None:
        """Add images: estimated IoU (B,) and true IoU (B,); images whose true IoU is NaN are left out."""
        known = ~true.isnan()
        self.estimated.append(estimated[known].float())
        self.true.append(true[known].float())

    def compute(self) -> dict[str, float]:
        """`iou_mae`, `iou_pearson`, `iou_spearman` (NaN where undefined) and `iou_images`, the number of images counted."""
        estimated, true = _concatenated(self.estimated), _concatenated(self.true)
        nan = float("nan")
        if true.numel() == 0:
            return {"iou_mae": nan, "iou_pearson": nan, "iou_spearman": nan, "iou_images": 0.0}
        related = true.numel() > 1 and bool(true.std() > 0) and bool(estimated.std() > 0)
        return {
            "iou_mae": float(mean_absolute_error(estimated, true)),
            "iou_pearson": float(pearson_corrcoef(estimated, true)) if related else nan,
            "iou_spearman": float(spearman_corrcoef(estimated, true)) if related else nan,
            "iou_images": float(true.numel()),
        }
