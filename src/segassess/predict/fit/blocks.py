"""Which ground each fold judges and from which it learns: blocks of a checkerboard, and a guard band around those judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from segassess.raster import Grid
from segassess.raster.grid import apply


@dataclass(frozen=True)
class Blocks:
    """Square blocks of the ground under a scene, dealt to folds so that neighbours are in different ones.

    Attributes:
        side: of a block in pixels.
        folds: number of folds.
        first: fold of the block whose corner is the origin of the ground.
        origin: row and column of the scene's first pixel on ground that scenes share, in pixels; None for ground of its own,
            where the first block begins at the top left and nothing beyond the scene is judged.
    """

    side: int
    folds: int
    first: int = 0
    origin: tuple[int, int] | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict`, by way of JSON; raises TypeError for other keys."""
        origin = content.get("origin")
        return cls(**{**content, "origin": None if origin is None else (int(origin[0]), int(origin[1]))})

    def fold_of(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The fold that judges each pixel of a window, uint8 (h, w)."""
        return self._folds(*(np.arange(part.start, part.stop) for part in (rows, columns)))

    def learnable(self, fold: int, rows: slice, columns: slice, guard: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Where the network of a fold may learn in a window, bool (h, w): nowhere within `guard` pixels of what it judges.

        `size` is that of the scene (H, W).
        """
        wide = [np.arange(part.start - guard, part.stop + guard) for part in (rows, columns)]
        if self.origin is None:
            wide = [places.clip(0, length - 1) for places, length in zip(wide, size, strict=True)]
        judged = (self._folds(*wide) == fold).astype(np.uint8)
        near = cv2.dilate(judged, np.ones((2 * guard + 1, 2 * guard + 1), np.uint8))
        inner = np.s_[guard : guard + rows.stop - rows.start, guard : guard + columns.stop - columns.start]
        return np.asarray(near[inner] == 0)

    def _folds(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
        top, left = self.origin or (0, 0)
        number = self.first + (top + rows[:, None]) // self.side + (left + columns) // self.side
        return np.asarray(number % self.folds, np.uint8)


def shared_origins(grids: Sequence[Grid]) -> list[tuple[int, int] | None]:
    """Where scenes that overlap lie on ground that they share, in whole pixels, see `Blocks.origin`; None for all others.

    Scenes are compared that have one CRS and pixels of one size and direction. Where two of these overlap, all share the ground.
    """
    frames: dict[Any, list[int]] = {}
    transforms: dict[int, Affine] = {}
    for number, grid in enumerate(grids):
        if (place := grid.georeference) is not None and place.crs is not None:
            t = transforms[number] = place.transform
            size = max(abs(t.a), abs(t.b), abs(t.d), abs(t.e))
            # Pixel sizes of one series of tiles differ in the last digits.
            shape = tuple(float(f"{value / size:.4f}") for value in (t.a, t.b, t.d, t.e))
            frames.setdefault((place.crs.to_wkt(), f"{size:.5g}", shape), []).append(number)
    origins: list[tuple[int, int] | None] = [None] * len(grids)
    for numbers in frames.values():
        to_pixels = ~transforms[numbers[0]]
        corners = [apply(to_pixels, (transforms[number].c, transforms[number].f)) for number in numbers]
        places = np.array(corners).round().astype(int)
        sizes = [(grids[number].width, grids[number].height) for number in numbers]
        inner = shapely.box(*(places + 1).T, *(places + sizes - 1).T)
        first, second = shapely.STRtree(inner).query(inner, predicate="intersects")
        if (first != second).any():
            for number, (column, row) in zip(numbers, places, strict=True):
                origins[number] = int(row), int(column)
    return origins
