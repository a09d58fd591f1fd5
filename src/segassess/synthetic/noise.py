"""Smooth random fields, for the texture of scenes and the wobble of perturbed outlines."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Cubic interpolation between grid points lowers a field's standard deviation to about this.
_CUBIC_SPREAD = 0.84


def smooth_noise(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth field with features of about `scale_px` pixels, mean 0 and about unit variance: float32 (H, W)."""
    height, width = shape
    if scale_px <= 1:
        return rng.standard_normal(shape, dtype=np.float32)
    # A smooth field loses nothing when it is made coarser and enlarged, which is much faster.
    reduction = 4 if scale_px >= 16 else 2 if scale_px >= 6 else 1
    size = (-(-width // reduction), -(-height // reduction))
    step = reduction / scale_px
    grid = (int(np.ceil(size[1] * step)) + 4, int(np.ceil(size[0] * step)) + 4)
    coarse = rng.standard_normal(grid, dtype=np.float32) / np.float32(_CUBIC_SPREAD)
    # A warp instead of a resize, because the field may start and stop anywhere between grid points.
    offset = rng.uniform(1, 2, 2)
    matrix = np.array([[step, 0, offset[0]], [0, step, offset[1]]])
    field = cv2.warpAffine(coarse, matrix, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    if reduction > 1:
        full = (size[0] * reduction, size[1] * reduction)
        field = cv2.resize(field, full, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.asarray(field, np.float32)


def octaves(
    shape: tuple[int, int], scales_px: Sequence[float], weights: Sequence[float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Weighted sum of smooth fields, of about unit variance: float32 (H, W)."""
    total = np.zeros(shape, np.float32)
    for scale, weight in zip(scales_px, weights, strict=True):
        total += np.float32(weight) * smooth_noise(shape, scale, rng)
    return total / np.float32(np.sqrt(np.sum(np.square(weights))))
