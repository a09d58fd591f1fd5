"""Skip damaged blocks, so that one bad block does not cost the whole scene."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.raster.library_errors import LIBRARY_ERRORS

# Pixels and validity of a window.
_Read: TypeAlias = Callable[[slice, slice], tuple[NDArray[np.float32], NDArray[np.bool_]]]

CELL = 64  # side in pixels of the squares that are skipped, on a fixed grid so that windows agree


class UnreadableCells:
    """The unreadable cells of a raster of `height` x `width` pixels."""

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width
        self._cells: set[tuple[int, int]] = set()

    def read(self, read: _Read, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window by `read` (pixels float32 (h, w, 3) and validity (h, w)); unreadable cells are 0 and not valid."""
        try:
            return read(rows, columns)
        except LIBRARY_ERRORS:
            pixels = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32)
            valid = np.zeros(pixels.shape[:2], bool)
        for top in range(rows.start // CELL, -(-rows.stop // CELL)):
            for left in range(columns.start // CELL, -(-columns.stop // CELL)):
                if (top, left) in self._cells:
                    continue
                # Read the whole cell, so that the answer does not depend on the window.
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
        """Number of pixels of these rows found to be unreadable."""
        height, width = self._size
        return sum(
            max(0, min(rows.stop, (top + 1) * CELL, height) - max(rows.start, top * CELL))
            * (min((left + 1) * CELL, width) - left * CELL)
            for top, left in self._cells
        )
