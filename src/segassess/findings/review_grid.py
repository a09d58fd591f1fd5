"""The grid of review tiles over a raster, and the estimated scores of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segassess.errors import ConfigError
from segassess.metrics.expected_counts import ExpectedCounts
from segassess.quality import FN, FP, TP


@dataclass(frozen=True)
class ReviewTile:
    """A tile of the grid; its box in pixels ends at the raster's border."""

    row: int  # in the grid, from 0
    column: int
    left: int
    top: int
    right: int  # exclusive
    bottom: int  # exclusive
    counts: ExpectedCounts  # expected numbers of pixels


@dataclass(frozen=True)
class ReviewGrid:
    """Square tiles of side `tile` (pixels) from the upper left corner of a raster on; ConfigError if the side is below 16."""

    height: int
    width: int
    tile: int = 512

    def __post_init__(self) -> None:
        if self.tile < 16:
            raise ConfigError(f"output.review_tile must be at least 16 pixels, not {self.tile}.")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile), -(-self.width // self.tile)

    def rows_of(self, top: int, height: int) -> tuple[int, int]:
        """Number of rows of tiles that `height` rows of pixels from `top` on lie in, and of columns of tiles."""
        return (top + height - 1) // self.tile - top // self.tile + 1, self.shape[1]

    def counts(self, probabilities: NDArray[np.float32], valid: NDArray[np.bool_], top: int, left: int) -> NDArray[np.float64]:
        """Sum up a part of the raster by tile: calibrated `probabilities` (4, h, w) of `valid` pixels (h, w).

        Returns float64 (rows, columns, 4): expected TP, FP and FN pixels and the number of valid ones, for the rows of tiles that
        the part lies in and all columns.
        """
        height, width = valid.shape
        planes = [np.where(valid, probabilities[code], 0) for code in (TP, FP, FN)]
        stacked = np.stack([*planes, valid]).astype(np.float64)
        by_row = np.add.reduceat(stacked, self._starts(top, height), axis=1)
        by_tile = np.add.reduceat(by_row, self._starts(left, width), axis=2)
        result = np.zeros((*self.rows_of(top, height), 4))
        first = left // self.tile
        result[:, first : first + by_tile.shape[2]] = by_tile.transpose(1, 2, 0)
        return result

    def _starts(self, first: int, length: int) -> NDArray[np.int64]:
        inner = np.arange((first // self.tile + 1) * self.tile, first + length, self.tile) - first
        return np.concatenate([[0], inner]).astype(np.int64)

    def tiles(self, counts: NDArray[np.float64]) -> Iterator[ReviewTile]:
        """The tiles that have valid pixels, row by row, from `counts` (rows, columns, 4) of the whole grid."""
        for row, column in np.argwhere(counts[..., 3] > 0):
            true, false, missing, valid = counts[row, column]
            left, top = int(column) * self.tile, int(row) * self.tile
            box = left, top, min(left + self.tile, self.width), min(top + self.tile, self.height)
            yield ReviewTile(int(row), int(column), *box, ExpectedCounts(float(true), float(false), float(missing), int(valid)))
