"""The rival everybody should beat: errors lie near the mask's edge."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from segassess.assessor.base import AssessorOutput, ImageFeatures
from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.quality import FN, FP, TN, TP
from segassess.rivals.base import Rival

MAX_DISTANCE = 64


def distance_to_edge(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Distance of each pixel to the nearest pixel of the other kind, in pixels, rounded up, from 1 to MAX_DISTANCE.

    Args:
        mask: bool (H, W).
    """
    if not mask.any() or mask.all():
        return np.full(mask.shape, MAX_DISTANCE, np.int64)
    distance = np.where(mask, distance_transform_edt(mask), distance_transform_edt(~mask))
    rounded: NDArray[np.int64] = np.clip(np.ceil(distance), 1, MAX_DISTANCE).astype(np.int64)
    return rounded


class BoundaryPrior(Rival):
    """P(error | distance to the mask's edge), one table inside the mask and one outside, counted on training masks.

    The decision (which pixels are called errors) is the band inside and the band outside whose FP IoU and FN IoU were best on
    the training masks; the probabilities are shifted so that the band's limit lies at 0.5. With plain probabilities it would
    hardly ever call anything an error, and be a straw man.
    """

    name = "boundary_prior"
    learns = True
    log_odds: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Rows: outside, inside; columns: distance 0..MAX_DISTANCE; last axis: right, wrong.
        self._counts = np.zeros((2, MAX_DISTANCE + 1, 2), np.int64)
        self.register_buffer("log_odds", torch.zeros(2, MAX_DISTANCE + 1))
        self.radius = (0, 0)

    def fit_batch(self, batch: Batch) -> None:
        """Count right and wrong pixels by distance."""
        if batch.truth is None:
            raise ValueError("boundary_prior learns from masks with truth.")
        for mask, truth, valid in zip(batch.mask.numpy() > 0, batch.truth.numpy() > 0, batch.valid.numpy(), strict=True):
            inside, keep = mask[0], valid[0]
            distance = distance_to_edge(inside)
            index = (inside.astype(np.int64) * (MAX_DISTANCE + 1) + distance) * 2 + (inside != truth[0])
            self._counts += np.bincount(index[keep], minlength=self._counts.size).reshape(self._counts.shape)

    def finish_fit(self) -> None:
        """Choose the bands and fill the table."""
        if self._counts.sum() == 0:
            raise RequestError("boundary_prior has seen no training mask; the data set needs a train split with masks.")
        table = np.zeros((2, MAX_DISTANCE + 1))
        radius = [0, 0]
        for side in (0, 1):
            right, wrong = self._counts[side, :, 0], self._counts[side, :, 1]
            odds = np.log((wrong + 0.5) / (right + 0.5))
            # Calling everything up to a distance an error: hits / (all errors + right pixels called errors).
            iou = wrong.cumsum() / np.maximum(wrong.sum() + right.cumsum(), 1)
            radius[side] = int(iou.argmax())
            # Decreasing with distance, so that the decision is a band and not a comb.
            odds = np.minimum.accumulate(odds[1:])
            last, first_beyond = max(radius[side] - 1, 0), min(radius[side], MAX_DISTANCE - 1)
            table[side, 1:] = odds - (odds[last] + odds[first_beyond]) / 2
            table[side, 1 : radius[side] + 1] = np.maximum(table[side, 1 : radius[side] + 1], 1e-3)
            table[side, radius[side] + 1 :] = np.minimum(table[side, radius[side] + 1 :], -1e-3)
        self.radius = (radius[0], radius[1])
        self.log_odds.copy_(torch.from_numpy(table))

    def assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """See `Rival.assess`; the log-odds of an error is FP's logit inside and FN's outside."""
        distance = torch.from_numpy(np.stack([distance_to_edge(one[0]) for one in (mask > 0).cpu().numpy()]))
        inside = mask[:, 0] > 0
        odds = self.log_odds[inside.long(), distance.to(mask.device)]
        logits = torch.full((mask.shape[0], 4, *mask.shape[-2:]), -20.0, device=mask.device)
        zero = torch.zeros_like(odds)
        logits[:, TP] = torch.where(inside, zero, logits[:, TP])
        logits[:, FP] = torch.where(inside, odds, logits[:, FP])
        logits[:, TN] = torch.where(inside, logits[:, TN], zero)
        logits[:, FN] = torch.where(inside, logits[:, FN], odds)
        return AssessorOutput(logits)
