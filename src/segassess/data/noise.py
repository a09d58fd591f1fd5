"""Smooth random fields: the texture of synthetic scenes and the wobble of perturbed outlines."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Cubic interpolation between grid points lowers a field's standard deviation to about this.
_CUBIC_SPREAD = 0.78


def smooth_noise(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth random field with features of about `scale_px` pixels, mean 0 and about unit variance: float32 (H, W)."""
    height, width = shape
    if scale_px <= 1:
        return rng.standard_normal(shape, dtype=np.float32)
    grid = (int(np.ceil(height / scale_px)) + 4, int(np.ceil(width / scale_px)) + 4)
    coarse = rng.standard_normal(grid, dtype=np.float32) / np.float32(_CUBIC_SPREAD)
    # A warp instead of a resize: the field starts between grid points and stops at the image border at no extra cost.
    offset = rng.uniform(1, 2, 2)
    matrix = np.array([[1 / scale_px, 0, offset[0]], [0, 1 / scale_px, offset[1]]])
    return np.asarray(cv2.warpAffine(coarse, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP), np.float32)


def octaves(
    shape: tuple[int, int], scales_px: Sequence[float], weights: Sequence[float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Weighted sum of smooth fields, scaled to about unit variance: float32 (H, W)."""
    total = np.zeros(shape, np.float32)
    for scale, weight in zip(scales_px, weights, strict=True):
        total += np.float32(weight) * smooth_noise(shape, scale, rng)
    return total / np.float32(np.sqrt(np.sum(np.square(weights))))
