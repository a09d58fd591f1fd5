"""Open a raster or vector mask."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segassess.raster.grid import Grid
from segassess.raster.mask import open_raster_mask
from segassess.raster.opening import RasterPath
from segassess.raster.vectors import VectorMask, is_vector


class MaskFile(Protocol):
    """A mask on the grid of an image; see `RasterMask` and `VectorMask`."""

    path: str
    notes: tuple[str, ...]

    def read(self, rows: slice = ..., columns: slice = ...) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read a window: foreground and validity, both bool (h, w)."""


@contextmanager
def open_mask(path: RasterPath, grid: Grid, label: int | None = None) -> Iterator[MaskFile]:
    """Open a mask on the grid of an image; see `open_raster_mask` and `VectorMask`."""
    if is_vector(path):
        yield VectorMask(str(path), grid)
    else:
        with open_raster_mask(path, grid, label) as raster:
            yield raster
