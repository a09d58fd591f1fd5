"""Probe squares: how an assessor is made to look for what is missing where a mask has next to nothing.

Assessors learn from masks that hold objects wherever there are many. So they take a window without any for a place without
objects, and find nothing missing in the middle of a town. Squares that are added to the mask, wherever they fall, take this hint
away: the assessor then calls what lies in them FP and around them FN, by what it sees in the image. Such a window is judged
twice, with squares in different places, and a pixel by what is said of it where no square is near: the outline of a square is an
error of its own kind. docs/results.md gives numbers.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.quality import NUM_CLASSES

# Share of a window below which a mask has next to nothing in it.
SPARSE = 0.01
# Pixels: side of the squares, and from one to the next.
SIDE, PERIOD = 24, 96
# Pixels that are near: to the mask, for a square, and to a square, for what is judged.
MARGIN = 8
# Pixels by which the squares of the two times are shifted, down and to the right; no pixel is near to squares both times.
_SHIFTS = 0, PERIOD // 2


def judge_with_probe_squares(
    judge: Callable[[NDArray[np.bool_]], NDArray[np.float32]], masks: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Quality probabilities of windows, with probe squares in those that the mask has next to nothing in.

    Args:
        judge: gives quality probabilities float32 (B, 4, h, w) of masks (B, h, w).
        masks: bool (B, h, w).

    Returns:
        float32 (B, 4, h, w).
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
    """Whether a pixel of the masks (B, h, w) or a pixel near it is in the mask, bool (B, h, w)."""
    square = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    return np.stack([cv2.dilate(mask.astype(np.uint8), square) > 0 for mask in masks])
