"""Probe squares make an assessor look for missing objects where a mask is almost empty.

Assessors learn from masks with objects wherever there are many, so they take an empty window for a place without objects and find
nothing missing in a whole town. Squares in the mask remove this hint: the assessor calls their inside FP and their surroundings
FN by what it sees in the image. Such a window is judged twice with shifted squares, and each pixel only where no square is near,
because the outline of a square is an error of its own kind. docs/results.md gives numbers.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.quality import NUM_CLASSES

# A mask that covers a smaller share of a window is sparse.
SPARSE = 0.01
# Pixels: side of the squares, and distance from one to the next.
SIDE, PERIOD = 24, 96
# Pixels: no square lies so near to the mask, and no pixel is judged so near to a square.
MARGIN = 8
# Pixels: shifts of the squares in the two passes, down and to the right; no pixel is near squares in both.
_SHIFTS = 0, PERIOD // 2


def judge_with_probe_squares(
    judge: Callable[[NDArray[np.bool_]], NDArray[np.float32]], masks: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Quality probabilities float32 (B, 4, h, w) of masks bool (B, h, w), with probe squares in sparse windows.

    `judge` gives such probabilities of any masks.
    """
    sparse = masks.mean(axis=(1, 2)) < SPARSE
    if not sparse.any():
        return judge(masks)
    total = np.zeros((len(masks), NUM_CLASSES, *masks.shape[1:]), np.float32)
    times = np.zeros_like(total[:, :1])
    for shift in _SHIFTS:
        squares = _squares(masks.shape[1:], shift) & ~_near(masks)
        undisturbed = (~_near(squares)).astype(np.float32)[:, None]
        total += judge(masks | squares) * undisturbed
        times += undisturbed
    probabilities = np.divide(total, times, out=total)
    if not sparse.all():
        probabilities[~sparse] = judge(masks)[~sparse]
    return probabilities


def _squares(size: tuple[int, ...], shift: int) -> NDArray[np.bool_]:
    """Whether a pixel lies in a square, bool (h, w)."""
    rows, columns = ((np.arange(length) - shift) % PERIOD < SIDE for length in size)
    return np.outer(rows, columns)


def _near(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a pixel or one near it is in the mask, bool (B, h, w)."""
    square = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    return np.stack([cv2.dilate(mask.astype(np.uint8), square) > 0 for mask in masks])
