"""Objects of a mask: its connected components, what is missing from each, and their estimated and true IoU.

What is missing is charged to objects by one rule, for estimates and for the truth alike. The territory of an object is the object
and all pixels outside the mask that are at most `REACH` pixels from it and nearer to it than to other objects. A missed pixel is
charged to the object in whose territory it lies, unless it is part of a missed object. Missed are, for an estimate, the pixels
that were called FN; for the truth, those that are FN. An estimate sums up P(FN) over the whole territory but for the predicted
missed objects.

In a dense town a missed building touches its neighbours, whose rims touch one another. So missed objects are looked for in cores:
the missed pixels that a disc of radius `CORE_PX` within them covers, and those that no short way through missed pixels leads to
from the mask. A missed object is a connected component of cores of at least `MIN_AREA` pixels, of whose border pixels less than
the share `CONTACT` lies beside the mask. What runs along an object rather than beside it is no object of its own.

Connected means 8-connected everywhere.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segassess.quality import FN, TP

# Pixels.
REACH = 16
# Pixels; smaller objects are noise to a reviewer.
MIN_AREA = 25
# Pixels: radius of the disc that a missed object beside others must hold; a building of 5 m is twice as wide at 0.2 m per pixel.
CORE_PX = 5
# A missed object has a smaller share of its border pixels beside the mask: a rectangle that lies along an object with its longer
# side has as much when it is twice as long as it is wide.
CONTACT = 1 / 3

_Label = TypeVar("_Label", np.int32, np.int64)

_CONNECTED = np.ones((3, 3), bool)
# Of a way that is short; with a row more to look at borders they are within the reach.
_STEPS = REACH - 1
# Rows per step: distances up to the reach need no more than a strip.
_STRIP = 1024


def label_components(pixels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected components of (H, W), numbered from 1 by their first pixel; 0 elsewhere."""
    labels: NDArray[np.int32] = ndimage.label(pixels, _CONNECTED)[0]
    return labels


def opened(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Pixels (H, W) that a disc within them covers; what lies beyond the border is taken for more of them."""
    if radius == 0:
        return pixels
    return np.asarray(cv2.morphologyEx(pixels.astype(np.uint8), cv2.MORPH_OPEN, _disc(radius)) > 0)


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def missed_cores(
    missed: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Where missed objects are looked for, its border pixels, and those of them beside the mask; all (H, W), like the arguments.

    A row depends on `REACH` rows above and below it at the most.
    """
    ways, near, neighbours = (missed | mask).astype(np.uint8), mask.astype(np.uint8), _CONNECTED.astype(np.uint8)
    for _ in range(_STEPS):
        near = np.minimum(cv2.dilate(near, neighbours), ways)
    cores = opened(missed, CORE_PX) | (missed & (near == 0))
    border = cores & ~ndimage.binary_erosion(cores, border_value=1)
    return cores, border, border & ndimage.binary_dilation(mask, _CONNECTED)


def are_missed(area: NDArray[np.number], border: NDArray[np.number], contact: NDArray[np.number]) -> NDArray[np.bool_]:
    """Which components of cores are missed objects.

    Args:
        area: pixels of each, (N,).
        border: border pixels of each, (N,).
        contact: border pixels beside the mask of each, (N,).
    """
    return np.asarray((area >= MIN_AREA) & (contact < CONTACT * np.maximum(border, 1)), bool)


def missed_objects(missed: NDArray[np.bool_], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Regions of missed pixels that are objects of their own.

    Args:
        missed: (H, W), pixels outside the mask that were called FN, or are.
        mask: (H, W).

    Returns:
        Their numbers (H, W), from 1 without gaps; 0 elsewhere.
    """
    cores, border, contact = missed_cores(missed, mask)
    labels = label_components(cores)
    count = int(labels.max(initial=0)) + 1
    keep = are_missed(*(np.bincount(labels[chosen], minlength=count) for chosen in (cores, border, contact)))
    numbers: NDArray[np.int32] = np.where(keep, keep.cumsum(), 0).astype(np.int32)
    return numbers[labels]


def nearest_objects(labels: NDArray[_Label], reach: int = REACH) -> NDArray[_Label]:
    """Territories: the label of the nearest object at most `reach` pixels away, outside objects; 0 elsewhere.

    Args:
        labels: integers (H, W), > 0 in objects.
        reach: in pixels.
    """
    nearest = np.zeros_like(labels)
    for top in range(0, len(labels), _STRIP):
        first = max(0, top - reach)
        strip = labels[first : top + _STRIP + reach]
        if strip.any():
            distance, (row, column) = ndimage.distance_transform_edt(strip == 0, return_indices=True)
            near = np.where((distance > 0) & (distance <= reach), strip[row, column], 0)
            nearest[top : top + _STRIP] = near[top - first : top - first + _STRIP]
    return nearest


@dataclass(frozen=True, eq=False)
class MaskObjects:
    """The N objects of one mask.

    Attributes:
        labels: int32 (H, W), the number of the object, from 1 to N; 0 outside the mask.
        nearest: int32 (H, W), outside the mask, the number of the object in whose territory a pixel lies; 0 elsewhere.
    """

    labels: NDArray[np.int32]
    nearest: NDArray[np.int32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_], valid: NDArray[np.bool_], reach: int = REACH) -> "MaskObjects":
        """Find the objects.

        Args:
            mask: bool (H, W).
            valid: bool (H, W); other pixels are part of no object and no territory.
            reach: how far a territory goes beyond its object, in pixels.
        """
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
        """Number of true pixels in each object, and of missing ones charged to it, expected or real.

        Args:
            true: (H, W), P(TP), or 1 where the truth is.
            missing: (H, W), P(FN), or 1 where a pixel is FN.
            missed: (H, W), the missed objects, which are charged to no other; see `missed_objects`.

        Returns:
            Both (N,).
        """
        charged = np.where(missed > 0, 0, self.nearest)
        return total(self.labels, true, len(self)), total(charged, missing, len(self))

    def iou(self, true: NDArray[np.float64], missing: NDArray[np.float64]) -> NDArray[np.float64]:
        """IoU of each object with what it stands for, from its `counts`: true / (area + missing), (N,) in [0, 1]."""
        return true / (self.area + missing)


def total(labels: NDArray[np.int32], values: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Sum of values (H, W) over each of the labels (H, W) from 1 to `count`."""
    chosen = labels > 0
    return np.bincount(labels[chosen], values[chosen].astype(np.float64), minlength=count + 1)[1:].astype(np.float64)


def estimated_object_iou(
    objects: MaskObjects, probabilities: NDArray[np.float32], quality: NDArray[np.integer], valid: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Estimated IoU of each object.

    Args:
        objects: of the mask.
        probabilities: float (4, H, W), calibrated.
        quality: (H, W), quality codes.
        valid: bool (H, W), pixels that count.

    Returns:
        (N,) in [0, 1].
    """
    inside = objects.labels > 0
    missed = missed_objects((quality == FN) & valid & ~inside, inside)
    return objects.iou(*objects.counts(probabilities[TP], probabilities[FN], missed))


def true_object_iou(objects: MaskObjects, truth: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """True IoU of each object, by the same rule; truth and valid are bool (H, W); (N,) in [0, 1]."""
    inside = objects.labels > 0
    missing = truth & valid & ~inside
    missed = missed_objects(missing, inside)
    return objects.iou(*objects.counts(truth.astype(np.float32), missing.astype(np.float32), missed))
