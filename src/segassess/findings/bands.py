"""Judged rows of a mask: what the bands of a raster hold, and what findings are gathered from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segassess import quality
from segassess.findings.review_grid import ReviewGrid
from segassess.models.calibration import Calibration
from segassess.quality import FN, FP, NOT_ASSESSED, TP

# P = value / 250: a step of exactly 0.004, and 255 stays free for nodata.
PROBABILITY_STEPS = 250
NODATA = NOT_ASSESSED
# Columns that are worked on at once, so that wide rasters need no more memory than narrow ones.
_CHUNK = 1024


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


@dataclass(frozen=True)
class JudgedBand:
    """A judged band of rows of one mask.

    Attributes:
        quality: uint8 (h, W), quality codes; 255 where not assessed.
        error: uint8 (h, W), calibrated P(error) in steps, see `probability_steps`; 255 where not assessed.
        mask: bool (h, W); False where not assessed.
        true: float16 (h, W), calibrated P(TP).
        missing: float16 (h, W), calibrated P(FN).
        counts: float64 (rows, columns, 4), see `ReviewGrid.counts`.
        unreadable: pixels of the image that could not be read, see `raster.unreadable`.
    """

    quality: NDArray[np.uint8]
    error: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    true: NDArray[np.float16]
    missing: NDArray[np.float16]
    counts: NDArray[np.float64]
    unreadable: int = 0

    @property
    def refined(self) -> NDArray[np.uint8]:
        """The refined mask, uint8 (h, W): 0, 1, 255 where not assessed."""
        refined = quality.refine(self.mask, self.quality)
        return np.where(self.quality == NOT_ASSESSED, np.uint8(NODATA), refined.astype(np.uint8))

    @property
    def error_probability(self) -> NDArray[np.float32]:
        """Calibrated P(error), float32 (h, W); NaN where not assessed."""
        return probabilities_of(self.error)

    def parts(self, rows: int) -> Iterator[JudgedRows]:
        """What findings are gathered from, so many rows at most at once, from top to bottom."""
        for top in range(0, len(self.quality), rows):
            part = slice(top, top + rows)
            error = probabilities_of(self.error[part])
            yield JudgedRows(self.quality[part], self.mask[part], self.true[part], self.missing[part], error)


def judge_band(
    probabilities: NDArray[np.float32], mask: NDArray[np.bool_], calibration: Calibration, review: ReviewGrid, top: int
) -> JudgedBand:
    """Decide, calibrate and count.

    Args:
        probabilities: (4, h, w), as the assessor gave them; NaN where there is nothing to judge.
        mask: (h, W), the mask under evaluation.
        calibration: of the assessor.
        review: whose tiles are counted.
        top: the band's first row in the raster.
    """
    height, width = mask.shape
    codes, error = (np.full(mask.shape, NODATA, np.uint8) for _ in range(2))
    true, missing = (np.zeros(mask.shape, np.float16) for _ in range(2))
    counts = np.zeros((*review.rows_of(top, height), 4))
    for left in range(0, width, _CHUNK):
        part = np.s_[:, left : left + _CHUNK]
        raw = probabilities[:, :, left : left + _CHUNK]
        known = np.asarray(~np.isnan(raw).any(axis=0))
        calibrated = calibration.of_array(raw)
        codes[part] = np.where(known, calibration.decide(raw), NOT_ASSESSED)
        error[part] = probability_steps(calibrated[FP] + calibrated[FN], known)
        true[part], missing[part] = (np.where(known, calibrated[code], 0) for code in (TP, FN))
        counts += review.counts(calibrated, known, top, left)
    return JudgedBand(codes, error, mask & (codes != NOT_ASSESSED), true, missing, counts)


def probability_steps(probability: ArrayLike, valid: ArrayLike) -> NDArray[np.uint8]:
    """Probabilities as uint8 values: P = value * 0.004, 255 where unknown.

    Args:
        probability: float (H, W) in [0, 1]; anything where not valid.
        valid: bool (H, W).

    Returns:
        uint8 (H, W); 255 where not valid or NaN.
    """
    values = np.asarray(probability, dtype=np.float32)
    known = np.asarray(valid, dtype=bool) & ~np.isnan(values)
    steps = np.rint(np.clip(np.where(known, values, 0), 0, 1) * PROBABILITY_STEPS)
    return np.where(known, steps, NODATA).astype(np.uint8)


def probabilities_of(steps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probabilities that `probability_steps` were made of, to 0.002; NaN where unknown."""
    return np.where(steps == NODATA, np.float32(np.nan), steps / np.float32(PROBABILITY_STEPS))
