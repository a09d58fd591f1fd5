"""Corrects P(error) by what was seen at a random sample of pixels, and says by cross-validation whether that helps.

Looks count by the number of pixels they stand for, so that the correction holds for the whole layer and not for the doubtful
places that most looks go to. It is a scale and a shift of the log-odds, of FP inside the mask and of FN outside (Platt scaling),
which keeps the order of pixels on either side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from segassess.evaluation.sampled_accuracy.estimates import PRIOR_LOOKS
from segassess.findings.bands import PROBABILITY_STEPS
from segassess.models.calibration import Calibration, fit_log_odds

FOLDS = 10
# The maps round P(error) to steps, so that 0 and 1 stand for what is less than half a step from them.
_LEAST = 0.25 / PROBABILITY_STEPS


@dataclass(frozen=True)
class SeenPixels:
    """Pixels that were looked at: P(error), whether the mask is wrong, whether it covers them, and their stratum, all (N,).

    `sizes` are the numbers of pixels of all strata. Pixels are in random order.
    """

    error: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    stratum: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.error)

    @property
    def weight(self) -> NDArray[np.float64]:
        """How many pixels each stands for, (N,): one over the probability of its inclusion."""
        return (self.sizes / np.maximum(self.counts, 1))[self.stratum]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Looks in each stratum."""
        return np.bincount(self.stratum, minlength=len(self.sizes))

    def only(self, chosen: NDArray[np.bool_]) -> "SeenPixels":
        """Some of them, (N,)."""
        return SeenPixels(self.error[chosen], self.wrong[chosen], self.inside[chosen], self.stratum[chosen], self.sizes)


@dataclass(frozen=True)
class Gain:
    """A mean over all pixels with its standard error, by the estimator of a stratified sample (Cochran, section 5.3)."""

    value: float
    standard_error: float


def fit_correction(seen: SeenPixels) -> Calibration:
    """The scales and shifts with the largest likelihood, weighted; of a side that was not looked at the identity.

    In each stratum, `PRIOR_LOOKS` more count as if they had found what P(error) says: few looks change little.
    """
    count = seen.counts[seen.stratum]
    share = (count * seen.wrong + PRIOR_LOOKS * seen.error) / (count + PRIOR_LOOKS)
    pixels = seen.weight[:, None] * np.column_stack([1 - share, share])
    sides = (fit_log_odds(_log_odds(seen.error[side]), pixels[side], "affine") for side in (seen.inside, ~seen.inside))
    return Calibration(*sides)


def corrected(correction: Calibration, error: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """P(error) after a correction, (N,)."""
    (fp_scale, fp_shift), (fn_scale, fn_shift) = correction.fp, correction.fn
    return np.asarray(expit(np.where(inside, fp_scale, fn_scale) * _log_odds(error) + np.where(inside, fp_shift, fn_shift)))


def cross_validated(seen: SeenPixels, folds: int = FOLDS) -> NDArray[np.float64]:
    """P(error) of each pixel, (N,), by the correction that was fitted without its fold; folds divide every stratum."""
    # Place of each pixel within its stratum.
    order = np.argsort(seen.stratum, kind="stable")
    fold = np.empty(len(seen), np.int64)
    fold[order] = np.arange(len(seen)) % folds
    result = np.empty(len(seen))
    for index in range(folds):
        out = fold == index
        result[out] = corrected(fit_correction(seen.only(~out)), seen.error[out], seen.inside[out])
    return result


def scores(seen: SeenPixels, error: NDArray[np.float64]) -> Mapping[str, float]:
    """How well probabilities (N,) of the seen pixels agree with what was seen, estimated for all pixels.

    `brier` is the mean squared difference, `ece` the expected calibration error, which few looks make seem larger than it is;
    `predicted` is the mean P(error), and `wrong` the share of wrong pixels.
    """
    # Imports torch.
    from segassess.metrics.reliability import BINS, calibration_error

    weight, wrong = seen.weight, seen.wrong.astype(float)
    bin_of = np.minimum((error * BINS).astype(int), BINS - 1)
    sums = [np.bincount(bin_of, weight * each, minlength=BINS) for each in (1.0, error, wrong)]
    brier = float((weight * (error - wrong) ** 2).sum() / weight.sum())
    predicted, found = (float((weight * each).sum() / weight.sum()) for each in (error, wrong))
    return {"brier": brier, "ece": calibration_error(np.stack(sums)), "predicted": predicted, "wrong": found}


def brier_gain(seen: SeenPixels, error: NDArray[np.float64]) -> Gain:
    """By how much the Brier score of other probabilities (N,) is lower than that of P(error) as predicted."""
    gains = (seen.error - seen.wrong) ** 2 - (error - seen.wrong) ** 2
    counts, sizes = seen.counts, seen.sizes
    mean = np.bincount(seen.stratum, gains, minlength=len(sizes)) / np.maximum(counts, 1)
    squares = np.bincount(seen.stratum, (gains - mean[seen.stratum]) ** 2, minlength=len(sizes))
    share = sizes / sizes.sum()
    known = counts > 1
    spread = (share**2 * squares)[known] / (counts * (counts - 1))[known] * (1 - counts / np.maximum(sizes, 1))[known]
    return Gain(float(share @ mean), float(np.sqrt(spread.sum())))


def _log_odds(error: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(error, _LEAST, 1 - _LEAST)))
