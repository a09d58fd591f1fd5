"""Read around what is damaged in a file, so that a bad block in the middle of a city costs that block and not the city."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.raster.library_errors import LIBRARY_ERRORS

# Pixels and validity of a window.
_Read: TypeAlias = Callable[[slice, slice], tuple[NDArray[np.float32], NDArray[np.bool_]]]

# Side in pixels of the squares that are given up at once; at fixed places, so that windows agree on what is unreadable.
CELL = 64


class UnreadableCells:
    """The parts of a raster that could not be read.

    Args:
        height: of the raster in pixels.
        width: likewise.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width
        self._cells: set[tuple[int, int]] = set()

    def read(self, read: _Read, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window; squares of it that cannot be read are 0 and not valid.

        Args:
            read: gives pixels float32 (h, w, 3) and bool (h, w) of a window, or raises one of `LIBRARY_ERRORS`.
            rows: from and to (exclusive), both given.
            columns: likewise.
        """
        try:
            return read(rows, columns)
        except LIBRARY_ERRORS:
            pixels = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32)
            valid = np.zeros(pixels.shape[:2], bool)
        for top in range(rows.start // CELL, -(-rows.stop // CELL)):
            for left in range(columns.start // CELL, -(-columns.stop // CELL)):
                if (top, left) in self._cells:
                    continue
                # The whole cell, so that it is unreadable or not whichever window asks.
                height, width = self._size
                cell = slice(top * CELL, min((top + 1) * CELL, height)), slice(left * CELL, min((left + 1) * CELL, width))
                try:
                    part, known = read(*cell)
                except LIBRARY_ERRORS:
                    self._cells.add((top, left))
                    continue
                there = [slice(max(c.start, a.start), min(c.stop, a.stop)) for c, a in zip(cell, (rows, columns), strict=True)]
                into = tuple(slice(t.start - a.start, t.stop - a.start) for t, a in zip(there, (rows, columns), strict=True))
                of = tuple(slice(t.start - c.start, t.stop - c.start) for t, c in zip(there, cell, strict=True))
                pixels[into], valid[into] = part[of], known[of]
        return pixels, valid

    def pixels(self, rows: slice) -> int:
        """Number of pixels of some rows that were found to be unreadable."""
        height, width = self._size
        return sum(
            max(0, min(rows.stop, (top + 1) * CELL, height) - max(rows.start, top * CELL))
            * (min((left + 1) * CELL, width) - left * CELL)
            for top, left in self._cells
        )
