"""Objects of a mask: connected components (8-connected), the missed pixels charged to each, and their estimated and true IoU.

One rule serves estimates and ground truth. An object's territory is the object and all pixels outside the mask within `REACH`
that are nearest to it. A missed pixel (called FN, or FN in truth) is charged to the object whose territory it lies in, unless it
belongs to a missed object (`metrics.missed_objects`). An estimate sums P(FN) over the territory without the predicted missed
objects.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segassess.metrics.missed_objects import REACH, label_components, missed_objects
from segassess.quality import FN, TP

# An object is wrong below this IoU, a loose match in object detection.
WRONG_IOU = 0.5

_Label = TypeVar("_Label", np.int32, np.int64)

# Rows per step; distances up to the reach need only a strip.
_STRIP = 1024


def nearest_objects(labels: NDArray[_Label], reach: int = REACH) -> NDArray[_Label]:
    """Label of the nearest object at most `reach` pixels away, in pixels outside objects (label 0); 0 elsewhere."""
    nearest = np.zeros_like(labels)
    for top in range(0, len(labels), _STRIP):
        first = max(0, top - reach)
        strip = labels[first : top + _STRIP + reach]
        if strip.any():
            row, column = ndimage.distance_transform_edt(strip == 0, return_distances=False, return_indices=True)
            # Squares of int32 would overflow in wide rasters; those up to the reach are exact in float32.
            down, right = row - np.arange(len(strip), dtype=np.int32)[:, None], column - np.arange(strip.shape[1], dtype=np.int32)
            square = np.square(down, dtype=np.float32) + np.square(right, dtype=np.float32)
            near = np.where((square > 0) & (square <= reach**2), strip[row, column], 0)
            nearest[top : top + _STRIP] = near[top - first : top - first + _STRIP]
    return nearest


@dataclass(frozen=True, eq=False)
class MaskObjects:
    """The N objects of one mask, numbered from 1 to N.

    `labels` is the number of each pixel's object, int32 (H, W), 0 outside the mask; `nearest`, int32 (H, W), is outside the mask
    the number of the object whose territory a pixel lies in, and 0 elsewhere.
    """

    labels: NDArray[np.int32]
    nearest: NDArray[np.int32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_], valid: NDArray[np.bool_], reach: int = REACH) -> "MaskObjects":
        """Find the objects of a mask (H, W); invalid pixels belong to no object and no territory."""
        labels = label_components(mask & valid)
        nearest = nearest_objects(labels, reach)
        nearest[~valid] = 0
        return cls(labels, nearest)

    def __len__(self) -> int:
        return int(self.labels.max(initial=0))

    @property
    def area(self) -> NDArray[np.int64]:
        """Pixels of each object, (N,)."""
        area: NDArray[np.int64] = np.bincount(self.labels[self.labels > 0], minlength=len(self) + 1)[1:]
        return area

    def counts(
        self, true: NDArray[np.floating], missing: NDArray[np.floating], missed: NDArray[np.int32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True pixels in each object and missing pixels charged to it, expected or real, (N,) each.

        All arguments are (H, W): `true` is P(TP) or the ground truth, `missing` is P(FN) or FN, `missed` numbers the missed
        objects.
        """
        charged = np.where(missed > 0, 0, self.nearest)
        return total(self.labels, true, len(self)), total(charged, missing, len(self))

    def iou(self, true: NDArray[np.float64], missing: NDArray[np.float64]) -> NDArray[np.float64]:
        """IoU of each object from its `counts`: true / (area + missing), (N,) in [0, 1]."""
        return true / (self.area + missing)


def total(labels: NDArray[np.int32], values: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Sum of values (H, W) over each of the labels (H, W) from 1 to `count`."""
    chosen = labels > 0
    return np.bincount(labels[chosen], values[chosen].astype(np.float64), minlength=count + 1)[1:].astype(np.float64)


def estimated_object_iou(
    objects: MaskObjects, probabilities: NDArray[np.float32], quality: NDArray[np.integer], valid: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """IoU of each object, (N,) in [0, 1], estimated from calibrated probabilities (4, H, W) and quality codes (H, W)."""
    inside = objects.labels > 0
    missed = missed_objects((quality == FN) & valid & ~inside, inside)
    return objects.iou(*objects.counts(probabilities[TP], probabilities[FN], missed))


def true_object_iou(objects: MaskObjects, truth: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """True IoU of each object by the same rule, (N,) in [0, 1]; truth and valid are (H, W)."""
    inside = objects.labels > 0
    missing = truth & valid & ~inside
    missed = missed_objects(missing, inside)
    return objects.iou(*objects.counts(truth.astype(np.float32), missing.astype(np.float32), missed))
