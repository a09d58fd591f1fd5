"""Where the overlapping windows of a raster lie, and how they are weighted.

Windows start at multiples of `stride`, whatever the size of the raster and wherever a run was interrupted; the border cuts off
the last ones. Weights fall linearly to zero at a window's own border and sum to one.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.options.tiling import TilingOptions

# A window: its rows and columns.
Area: TypeAlias = tuple[slice, slice]


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
