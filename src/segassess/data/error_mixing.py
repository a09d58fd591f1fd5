"""Masks with errors of several origins: what one mask has wrong, and another right, is exchanged area by area.

The idea of cutting errors from one prediction and pasting them into another is that of ErrorAug (openreview cPhfgGIbVfZ); here
both are masks of one image, so that an error stays where the image gives rise to it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_CONNECTED = np.ones((3, 3), bool)


def exchanged(mask: NDArray[np.bool_], other: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """`mask` with a random share of the areas in which `other` differs from it taken from `other`.

    An area is 8-connected, and all added or all removed. With the truth as `other`, some errors are mended. Both masks and the
    result are bool (H, W).
    """
    result = mask.copy()
    share = rng.random()
    for differs in (mask & ~other, ~mask & other):
        areas, count = ndimage.label(differs, _CONNECTED)
        taken = np.concatenate([[False], rng.random(count) < share])
        result ^= taken[areas]
    return result
