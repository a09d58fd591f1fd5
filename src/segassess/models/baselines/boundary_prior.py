"""The minimal baseline to beat: errors lie near the mask's edge."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from segassess.data.batch import Batch
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline
from segassess.models.baselines.binned import ErrorTable
from segassess.models.baselines.odds import from_error_odds

MAX_DISTANCE = 64


def distance_to_edge(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Distance of each pixel of a bool (H, W) mask to the nearest of the other kind, in px, rounded up, 1 to MAX_DISTANCE."""
    if not mask.any() or mask.all():
        return np.full(mask.shape, MAX_DISTANCE, np.int64)
    distance = np.where(mask, distance_transform_edt(mask), distance_transform_edt(~mask))
    rounded: NDArray[np.int64] = np.clip(np.ceil(distance), 1, MAX_DISTANCE).astype(np.int64)
    return rounded


class BoundaryPrior(Baseline):
    """P(error | distance to the mask's edge), counted on training masks; a band along the edge is wrong, see `ErrorTable`."""

    name = "boundary_prior"
    learns = True

    def __init__(self) -> None:
        super().__init__()
        self.table = ErrorTable(MAX_DISTANCE)

    @property
    def radius(self) -> tuple[int, int]:
        """Width in pixels of the band outside and inside."""
        return self.table.cut

    def fit_batch(self, batch: Batch) -> None:
        """Count right and wrong pixels by distance."""
        self.table.count(_bins(batch.mask), batch.mask, batch.truth, batch.valid)

    def finish_fit(self) -> None:
        """Choose the bands and fill the table."""
        self.table.finish("boundary_prior has seen no training mask; the data set needs a train split with masks.")

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Baseline.assess`; the log-odds of an error is FP's logit inside and FN's outside."""
        return from_error_odds(self.table.error_odds(_bins(mask), mask), mask)


def _bins(mask: Tensor) -> Tensor:
    """Bins int64 (B, H, W) of masks (B, 1, H, W): the first holds distance 1."""
    return torch.from_numpy(np.stack([distance_to_edge(one[0]) - 1 for one in (mask > 0).cpu().numpy()]))
