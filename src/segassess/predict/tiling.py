"""Cut a raster into overlapping windows and blend their answers, one band of rows after another.

Windows start at multiples of `stride`, whatever the size of the raster and wherever a run was interrupted; the border cuts off
the last ones. Weights fall linearly to zero at a window's own border and sum to one. Rows are final when no further window
reaches them, so memory grows with the width of a raster and not with its height.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.options.tiling import TilingOptions

# A window: its rows and columns.
Area: TypeAlias = tuple[slice, slice]

# Answers for windows of one size: for each window float32 (C, h, w) arrays, as many for each.
Predict: TypeAlias = Callable[[Sequence[Area]], Sequence[Sequence[NDArray[np.float32]]]]


@dataclass(frozen=True)
class Tiling(TilingOptions):
    """Size and overlap of windows, and where they lie; sizes are multiples of 32, to which encoders pad."""

    @property
    def stride(self) -> int:
        """Distance between the starts of neighbouring windows in pixels; also the height of a band."""
        return self.window - self.overlap

    def spans(self, length: int) -> list[tuple[int, int]]:
        """Start and end of the windows that cover [0, length)."""
        if length <= self.window:
            return [(0, length)]
        count = -(-(length - self.overlap) // self.stride)
        return [(index * self.stride, min(index * self.stride + self.window, length)) for index in range(count)]

    def bands(self, height: int) -> list[tuple[int, int]]:
        """Start and end of the bands of rows that become final one after another; together they cover [0, height)."""
        starts = [start for start, _ in self.spans(height)]
        return list(zip(starts, [*starts[1:], height], strict=True))

    def windows(self, height: int, width: int) -> int:
        """Number of windows of a raster."""
        return len(self.spans(height)) * len(self.spans(width))

    def weights(self, start: int, end: int, length: int) -> NDArray[np.float32]:
        """Weights (end - start,) of a window along one axis; over all windows they sum to 1 at every pixel."""
        position = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
        weights = np.ones(end - start, np.float32)
        if self.overlap and start > 0:
            weights = np.minimum(weights, (position - start) / self.overlap)
        if self.overlap and end < length:
            weights = np.minimum(weights, (end - position) / self.overlap)
        return weights


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
