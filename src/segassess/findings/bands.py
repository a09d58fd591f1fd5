"""Judged rows and bands of a mask, from which findings are gathered."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segassess import quality
from segassess.findings.review_grid import ReviewGrid
from segassess.models.calibration import Calibration
from segassess.quality import FN, FP, NOT_ASSESSED, NUM_CLASSES, TP

# P = value / 250: a step of exactly 0.004, and 255 stays free for nodata.
PROBABILITY_STEPS = 250
NODATA = NOT_ASSESSED
# Columns processed at once, so that wide rasters need no more memory than narrow ones.
_CHUNK = 1024


@dataclass(frozen=True)
class JudgedRows:
    """Consecutive rows of a judged mask, all (h, W)."""

    quality: NDArray[np.uint8]  # codes; 255 where not assessed
    mask: NDArray[np.bool_]
    true: NDArray[np.floating]  # calibrated P(TP)
    missing: NDArray[np.floating]  # calibrated P(FN)
    error: NDArray[np.floating]  # calibrated P(FP) + P(FN); NaN where not assessed

    def __len__(self) -> int:
        return len(self.quality)


@dataclass(frozen=True)
class JudgedBand:
    """A judged band of rows of one mask; all arrays but `counts` are (h, W)."""

    quality: NDArray[np.uint8]  # codes; 255 where not assessed
    error: NDArray[np.uint8]  # calibrated P(error), see `probability_steps`; 255 where not assessed
    mask: NDArray[np.bool_]  # False where not assessed
    true: NDArray[np.float16]  # calibrated P(TP)
    missing: NDArray[np.float16]  # calibrated P(FN)
    counts: NDArray[np.float64]  # (rows, columns, 4), see `ReviewGrid.counts`
    reference: NDArray[np.uint8] | None = None  # P(object) by the fit to the layer, see `probability_steps`
    unreadable: int = 0  # pixels of the image that could not be read, see `raster.unreadable`

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
        """The band from top to bottom, at most `rows` rows at a time."""
        for top in range(0, len(self.quality), rows):
            part = slice(top, top + rows)
            error = probabilities_of(self.error[part])
            yield JudgedRows(self.quality[part], self.mask[part], self.true[part], self.missing[part], error)


def judge_band(
    probabilities: NDArray[np.float32], mask: NDArray[np.bool_], calibration: Calibration, review: ReviewGrid, top: int
) -> JudgedBand:
    """Decide, calibrate and count one band of a mask (h, W), whose first row in the raster is `top`.

    `probabilities` are (4, h, W) as the assessor gave them, not calibrated, NaN where there is nothing to judge, with a reference
    map as a fifth plane if there is one; `review` gives the tiles that are counted.
    """
    probabilities, further = probabilities[:NUM_CLASSES], probabilities[NUM_CLASSES:]
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
    reference = probability_steps(further[0], codes != NOT_ASSESSED) if len(further) else None
    return JudgedBand(codes, error, mask & (codes != NOT_ASSESSED), true, missing, counts, reference)


def probability_steps(probability: ArrayLike, valid: ArrayLike) -> NDArray[np.uint8]:
    """Probabilities in [0, 1], float (H, W), as uint8 steps of 0.004; 255 where they are NaN or not `valid`."""
    values = np.asarray(probability, dtype=np.float32)
    known = np.asarray(valid, dtype=bool) & ~np.isnan(values)
    steps = np.rint(np.clip(np.where(known, values, 0), 0, 1) * PROBABILITY_STEPS)
    return np.where(known, steps, NODATA).astype(np.uint8)


def probabilities_of(steps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of `probability_steps`, to 0.002; NaN where unknown."""
    return np.where(steps == NODATA, np.float32(np.nan), steps / np.float32(PROBABILITY_STEPS))
