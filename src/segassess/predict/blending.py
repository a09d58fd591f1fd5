"""Blend the answers of overlapping windows, one band of rows after another.

Rows are final when no further window reaches them, so memory grows with the width of a raster and not with its height.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.predict.tiling import Area, Tiling

# Answers for windows of one size: for each window float32 (C, h, w) arrays, as many for each.
Predict: TypeAlias = Callable[[Sequence[Area]], Sequence[Sequence[NDArray[np.float32]]]]


@dataclass(frozen=True)
class Band:
    """Final rows [top, bottom) of a raster; `index` counts bands from 0."""

    index: int
    top: int
    bottom: int
    answers: list[NDArray[np.float32]]  # blended, each float32 (C, bottom - top, W); the consumer may clear them


def predict_bands(
    size: tuple[int, int],
    predict: Predict,
    tiling: Tiling,
    wanted: Callable[[int], bool] = lambda index: True,
    on_window: Callable[[], None] = lambda: None,
) -> Iterator[Band]:
    """Predict a raster of a `size` (H, W) window by window, and yield its bands from top to bottom.

    Bands that are not `wanted` are neither computed nor yielded; a band is the same whichever others are wanted. `on_window` is
    called after each window.
    """
    height, width = size
    spans, bands = tiling.spans(height), tiling.bands(height)
    # Answers of the previous row of windows in the rows that both share; None if it was not computed.
    carried: list[NDArray[np.float32]] | None = None
    for index, (top, bottom) in enumerate(bands):
        if not wanted(index):
            carried = None
            continue
        if index and carried is None:
            carried = _shared_rows(_row(spans[index - 1], width, height, predict, tiling, on_window), spans[index - 1], top)
        row = _row(spans[index], width, height, predict, tiling, on_window)
        if carried is not None:
            _add_above(row, carried)
        carried = _shared_rows(row, spans[index], bottom) if index + 1 < len(bands) else None
        # Handed over, not kept, so that one row of windows is in memory and not two.
        answers = (row.pop(0)[:, : bottom - top] for _ in range(len(row)))
        yield Band(index, top, bottom, list(answers))


def _row(
    rows: tuple[int, int], width: int, height: int, predict: Predict, tiling: Tiling, on_window: Callable[[], None]
) -> list[NDArray[np.float32]]:
    """Weighted answers of a row of windows, each (C, rows, W)."""
    top, bottom = rows
    vertical = tiling.weights(top, bottom, height)
    sums: list[NDArray[np.float32]] = []
    for columns in _batches(tiling.spans(width), tiling.batch_size):
        answers = predict([np.s_[top:bottom, left:right] for left, right in columns])
        for (left, right), parts in zip(columns, answers, strict=True):
            weight = np.outer(vertical, tiling.weights(left, right, width))
            sums = sums or [np.zeros((len(part), bottom - top, width), np.float32) for part in parts]
            for result, part in zip(sums, parts, strict=True):
                result[:, :, left:right] += weight * part
            on_window()
    return sums


def _batches(spans: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    """Neighbouring spans of one length, at most `size` at once."""
    for _, group in itertools.groupby(spans, key=lambda span: span[1] - span[0]):
        alike = list(group)
        yield from (alike[first : first + size] for first in range(0, len(alike), size))


def _add_above(row: list[NDArray[np.float32]], carried: list[NDArray[np.float32]]) -> None:
    """Add the answers of the previous row of windows to the rows that both share."""
    # A loop in the generator itself would keep its last array alive while the next row is computed.
    for answer, above in zip(row, carried, strict=True):
        answer[:, : above.shape[1]] += above


def _shared_rows(row: list[NDArray[np.float32]], rows: tuple[int, int], start: int) -> list[NDArray[np.float32]]:
    """The part of a row of windows from row `start` of the raster on."""
    return [answer[:, start - rows[0] :].copy() for answer in row]


def predict_raster(
    size: tuple[int, int],
    predict: Predict,
    tiling: Tiling,
    on_window: Callable[[], None] = lambda: None,
) -> list[NDArray[np.float32]]:
    """Predict a raster that fits into memory: the answers of `predict_bands`, each float32 (C, H, W)."""
    bands = [band.answers for band in predict_bands(size, predict, tiling, on_window=on_window)]
    return [np.concatenate(parts, axis=1) for parts in zip(*bands, strict=True)]
