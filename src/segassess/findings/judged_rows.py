"""What later steps need of a judged mask, by rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class JudgedRows:
    """Consecutive rows of a judged mask, all (h, W).

    Attributes:
        quality: uint8, quality codes as decided; 255 where not assessed.
        mask: bool, the mask under evaluation.
        true: float, calibrated P(TP).
        missing: float, calibrated P(FN).
        error: float, calibrated P(FP) + P(FN).
    """

    quality: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    true: NDArray[np.floating]
    missing: NDArray[np.floating]
    error: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.quality)

    def parts(self, rows: int) -> Iterator["JudgedRows"]:
        """The same as parts of so many rows at most, from top to bottom."""
        for top in range(0, len(self), rows):
            part = slice(top, top + rows)
            yield JudgedRows(self.quality[part], self.mask[part], self.true[part], self.missing[part], self.error[part])
