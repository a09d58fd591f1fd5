"""Design-based estimates of accuracy with confidence intervals, from a stratified random sample.

Totals and ratios by stratified estimators (Cochran, Sampling Techniques, 3rd edition, chapters 5 and 6; for maps Olofsson et al.,
Remote Sensing of Environment 148, 2014, equations 1 to 11), corrected for finite populations. What a stratum of few looks hides
is allowed for, see `_spread`. Intervals are symmetric on the log-odds, so that they stay within 0 and 1; very near to
these they are symmetric, and cut.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segassess.evaluation.sampled_accuracy.design import LEAST_ERROR, Stratum

# Looks that P(error) of a stratum counts as, for its spread.
PRIOR_LOOKS = 2


@dataclass(frozen=True)
class Looks:
    """What was seen in a stratum: of n units whether each is wrong, bool (n,), and its P(error), float (n,)."""

    wrong: NDArray[np.bool_]
    error: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.wrong)


@dataclass(frozen=True)
class Estimate:
    """A figure, its standard error, and its confidence interval; `more` is how many more looks would halve the interval."""

    value: float
    standard_error: float
    low: float
    high: float
    more: int

    def times(self, factor: float) -> "Estimate":
        """The figure in another unit."""
        value, error, low, high = (factor * each for each in (self.value, self.standard_error, self.low, self.high))
        return Estimate(value, error, low, high, self.more)


# A figure is the ratio of two totals over units. What a wrong and what a right unit adds to (numerator, denominator), outside and
# inside the mask.
_Values = tuple[tuple[float, float], tuple[float, float]]
_FIGURES: Mapping[str, tuple[_Values, _Values]] = {
    # outside: (wrong = FN, right = TN), inside: (wrong = FP, right = TP)
    "iou": (((0, 1), (0, 0)), ((0, 1), (1, 1))),
    "precision": (((0, 0), (0, 0)), ((0, 1), (1, 1))),
    "recall": (((0, 1), (0, 0)), ((0, 0), (1, 1))),
    "f1": (((0, 1), (0, 0)), ((0, 1), (2, 2))),
    "error_share": (((1, 1), (0, 1)), ((1, 1), (0, 1))),
    "truth_share": (((1, 1), (0, 1)), ((0, 1), (1, 1))),
}
FIGURES = tuple(_FIGURES)


def estimate(
    figure: str,
    strata: Sequence[Stratum],
    looks: Sequence[Looks],
    *,
    confidence: float = 0.95,
    prediction_powered: bool = False,
) -> Estimate:
    """Estimate one of `FIGURES`, all in [0, 1], from looks in each stratum.

    `prediction_powered` adds what P(error) of all units says, by a difference estimator with the weight that the sample supports
    (arXiv 2311.01453, section 6, here within strata). Strata without units are passed over. Raises ValueError if a stratum of
    at least one unit has no look.
    """
    kept = [(stratum, seen) for stratum, seen in zip(strata, looks, strict=True) if stratum.size]
    if any(not len(seen) for _, seen in kept):
        raise ValueError("Every stratum needs a look.")
    values = [np.asarray(_FIGURES[figure][stratum.inside], np.float64) for stratum, _ in kept]  # ((y, x) wrong, (y, x) right)
    weight = _prediction_weight(kept, values) if prediction_powered else 0.0
    # Share of wrong units in each stratum.
    wrong = [_share(seen.wrong, seen.error, stratum, weight) for stratum, seen in kept]
    numerator, denominator = np.sum(
        [
            stratum.size * (share * of[0] + (1 - share) * of[1])
            for (stratum, _), share, of in zip(kept, wrong, values, strict=True)
        ],
        axis=0,
    )
    if denominator <= 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    ratio = min(max(float(numerator / denominator), 0.0), 1.0)
    # The ratio moves with the share of wrong units in a stratum by size * step / denominator (Cochran, section 6.5).
    parts = []
    for (stratum, seen), of in zip(kept, values, strict=True):
        step = (of[0, 0] - ratio * of[0, 1]) - (of[1, 0] - ratio * of[1, 1])
        spread = _spread(seen, stratum, weight)
        parts.append((stratum, len(seen), (stratum.size * step / denominator) ** 2 * spread))
    variance = sum(part * (1 / count - 1 / stratum.size) for stratum, count, part in parts)
    return interval(ratio, math.sqrt(variance), freedom(parts), confidence, looks_to_halve(parts, variance))


def _share(wrong: NDArray[np.bool_], error: NDArray[np.float64], stratum: Stratum, weight: float) -> float:
    return float(wrong.mean() + weight * (stratum.mean_error - error.mean()))


def _spread(seen: Looks, stratum: Stratum, weight: float) -> float:
    """Variance of a stratum's units, as if `PRIOR_LOOKS` more had found what P(error) says.

    Without it, a stratum in which all looks agree would seem to be known without doubt (compare the interval of Agresti and
    Coull, The American Statistician 52, 1998).
    """
    wrong, error, count = seen.wrong, seen.error, len(seen)
    expected = min(max(stratum.mean_error, LEAST_ERROR), 1 - LEAST_ERROR)
    share = (wrong.sum() + PRIOR_LOOKS * expected) / (count + PRIOR_LOOKS)
    spread = share * (1 - share) * count / max(count - 1, 1)
    if weight and count > 1:
        # What the prediction explains within the stratum, estimated from the same looks.
        explained = 2 * weight * float(np.cov(wrong, error)[0, 1]) - weight**2 * float(np.var(error, ddof=1))
        spread = max(spread - explained, spread / 10)
    return float(spread)


def _prediction_weight(kept: Sequence[tuple[Stratum, Looks]], values: Sequence[NDArray[np.float64]]) -> float:
    """Weight in [0, 1] of predictions that gives the least variance: covariance over variance, within strata."""
    covariance = variance = 0.0
    for (stratum, seen), of in zip(kept, values, strict=True):
        if len(seen) > 1 and np.any(of[0] != of[1]):
            factor = stratum.size**2 / len(seen)
            covariance += factor * float(np.cov(seen.wrong, seen.error)[0, 1])
            variance += factor * float(np.var(seen.error, ddof=1))
    return min(max(covariance / variance, 0.0), 1.0) if variance > 0 else 0.0


def freedom(parts: Sequence[tuple[Stratum, int, float]]) -> float:
    """Degrees of freedom of the variance (Satterthwaite; Cochran, equation 5.16)."""
    each = np.array([part * (1 / count - 1 / stratum.size) for stratum, count, part in parts])
    counts = np.array([count for _, count, _ in parts])
    below = float((each**2 / np.maximum(counts - 1, 1)).sum())
    return float(each.sum() ** 2 / below) if below > 0 else math.inf


def interval(value: float, error: float, degrees: float, confidence: float, more: int) -> Estimate:
    """The interval of a share with this standard error, on the log-odds, by so many degrees of freedom."""
    far = float(stats.t.ppf((1 + confidence) / 2, max(degrees, 1.0)))
    if error == 0:
        return Estimate(value, error, value, value, more)
    if not error / 2 < value < 1 - error / 2:
        # So near to 0 or 1, log-odds have no useful scale.
        return Estimate(value, error, max(value - far * error, 0.0), min(value + far * error, 1.0), more)
    reach = far * error / (value * (1 - value))
    odds = math.log(value / (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(odds + side * reach, -700.0), 700.0))) for side in (-1, 1))
    return Estimate(value, error, low, high, more)


def looks_to_halve(parts: Sequence[tuple[Stratum, int, float]], variance: float) -> int:
    """Looks to add, in the proportions of today's, until the standard error is half of today's."""
    looks = sum(count for _, count, _ in parts)
    if variance <= 0:
        return 0

    def left(factor: float) -> float:
        return sum(part * max(1 / min(count * factor, stratum.size) - 1 / stratum.size, 0.0) for stratum, count, part in parts)

    low, high = 1.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > variance / 4 else (low, middle)
    return math.ceil(looks * (high - 1))
