"""The rule that says which missed pixels form a missed object, for estimates and ground truth.

In a dense town a missed building touches its neighbours. So missed objects are sought in cores: the missed pixels that a disc of
radius `CORE_PX` within them covers, and those that no short path through missed pixels joins to the mask. A missed object is a
connected component of cores with at least `MIN_AREA` pixels and less than `CONTACT` of its border pixels beside the mask.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Pixels.
REACH = 16
# Pixels; smaller objects are noise to a reviewer.
MIN_AREA = 25
# Pixels; a building of 5 m at 0.2 m per pixel is twice as wide as this disc.
CORE_PX = 5
# A square between two objects, both of which it touches along a whole side, reaches this share.
CONTACT = 1 / 2

_CONNECTED = np.ones((3, 3), bool)
# Length of a short path; one more row for borders keeps within the reach.
_STEPS = REACH - 1


def label_components(pixels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected components of (H, W), numbered from 1 by their first pixel; 0 elsewhere."""
    labels: NDArray[np.int32] = ndimage.label(pixels, _CONNECTED)[0]
    return labels


def opened(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Pixels (H, W) that a disc within them covers; pixels beyond the border count as set."""
    if radius == 0:
        return pixels
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.morphologyEx(pixels.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0)


def missed_cores(
    missed: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Cores of missed objects, their border, and the border beside the mask; (H, W), local to `REACH` rows."""
    ways, near, neighbours = (missed | mask).astype(np.uint8), mask.astype(np.uint8), _CONNECTED.astype(np.uint8)
    for _ in range(_STEPS):
        near = np.minimum(cv2.dilate(near, neighbours), ways)
    cores = opened(missed, CORE_PX) | (missed & (near == 0))
    border = cores & ~ndimage.binary_erosion(cores, border_value=1)
    return cores, border, border & ndimage.binary_dilation(mask, _CONNECTED)


def are_missed(area: NDArray[np.number], border: NDArray[np.number], contact: NDArray[np.number]) -> NDArray[np.bool_]:
    """Which components of cores are missed objects, from their (N,) pixels, border pixels and border pixels beside the mask."""
    return np.asarray((area >= MIN_AREA) & (contact < CONTACT * np.maximum(border, 1)), bool)


def missed_objects(missed: NDArray[np.bool_], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the missed objects from 1 without gaps, 0 elsewhere; `missed` (H, W) lies outside `mask` (H, W)."""
    cores, border, contact = missed_cores(missed, mask)
    labels = label_components(cores)
    count = int(labels.max(initial=0)) + 1
    keep = are_missed(*(np.bincount(labels[chosen], minlength=count) for chosen in (cores, border, contact)))
    numbers: NDArray[np.int32] = np.where(keep, keep.cumsum(), 0).astype(np.int32)
    return numbers[labels]
