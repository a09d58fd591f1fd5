"""Mask IoU and boundary IoU of masks, pooled over the data set and all ranks."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from segassess.metrics.confusion import binary_scores

# Share of the image's diagonal (arXiv 2103.16562).
BOUNDARY_SHARE = 0.02


def boundary_region(mask: Tensor) -> Tensor:
    """Pixels of a mask, bool (B, 1, H, W), within 2 % of the image's diagonal, at least 1 px, of its boundary.

    The mask minus its erosion by a square; outside the image is background (arXiv 2103.16562, section 4).
    """
    height, width = mask.shape[-2:]
    distance = max(1, round(BOUNDARY_SHARE * (height**2 + width**2) ** 0.5))
    background = F.pad(1 - mask.float(), (distance,) * 4, value=1.0)
    # Two passes, by column and by row, equal one square window.
    side = 2 * distance + 1
    near = F.max_pool2d(F.max_pool2d(background, (side, 1), stride=1), (1, side), stride=1)
    return mask & (near > 0)


class SegmentationMetrics(Metric):
    """Scores of masks against ground truth, in [0, 1], NaN where there is nothing to count.

    iou, f1, precision, recall, accuracy of the object, mean_iou over object and background, and boundary_iou.
    """

    full_state_update = False
    counts: Tensor
    boundary: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Counts of pixels: TP, FP, FN, all; then the intersection and union of boundary regions.
        self.add_state("counts", default=torch.zeros(4, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("boundary", default=torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, mask: Tensor, truth: Tensor, valid: Tensor) -> None:
        """Count a batch: mask, truth and valid are bool (B, 1, H, W)."""
        hit = (mask & truth & valid).sum()
        self.counts += torch.stack([hit, (mask & ~truth & valid).sum(), (~mask & truth & valid).sum(), valid.sum()])
        of_mask, of_truth = boundary_region(mask) & valid, boundary_region(truth) & valid
        self.boundary += torch.stack([(of_mask & of_truth).sum(), (of_mask | of_truth).sum()])

    def compute(self) -> dict[str, float]:
        """See the class."""
        hit, false, missed, total = self.counts.double()
        scores = binary_scores(hit, false, missed, total)
        background = (total - hit - false - missed) / (total - hit)
        scores["mean_iou"] = torch.stack([scores["iou"], background]).nanmean()
        scores["boundary_iou"] = self.boundary[0].double() / self.boundary[1]
        return {name: float(value) for name, value in scores.items()}
