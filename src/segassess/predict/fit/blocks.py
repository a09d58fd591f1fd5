"""Which ground each fold judges and from which it learns: blocks of a checkerboard, and a guard band around those judged."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Blocks:
    """Square blocks of a scene, dealt to folds so that neighbours are in different ones.

    Attributes:
        side: of a block in pixels; a scene of no more pixels in height and width is one block.
        folds: number of folds.
        first: fold of the block at the top left.
    """

    side: int
    folds: int
    first: int = 0

    def fold_of(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The fold that judges each pixel of a window, uint8 (h, w)."""
        return self._folds(*(np.arange(part.start, part.stop) for part in (rows, columns)))

    def learnable(self, fold: int, rows: slice, columns: slice, guard: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Where the network of a fold may learn in a window, bool (h, w): nowhere within `guard` pixels of what it judges.

        `size` is that of the scene (H, W), beyond which nothing is judged.
        """
        wide = [
            np.arange(part.start - guard, part.stop + guard).clip(0, length - 1)
            for part, length in zip((rows, columns), size, strict=True)
        ]
        judged = (self._folds(*wide) == fold).astype(np.uint8)
        near = cv2.dilate(judged, np.ones((2 * guard + 1, 2 * guard + 1), np.uint8))
        inner = np.s_[guard : guard + rows.stop - rows.start, guard : guard + columns.stop - columns.start]
        return np.asarray(near[inner] == 0)

    def _folds(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.asarray((self.first + rows[:, None] // self.side + columns // self.side) % self.folds, np.uint8)
