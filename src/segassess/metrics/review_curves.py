"""Review curves: how soon errors are found by somebody who looks at the masks in a predicted order, worst first.

Masks are the unit: each takes the same time to look at, and all error pixels of a mask are found when it is looked at. The area
under the curve is 0.5 for a random order. That of the oracle, who sorts by the true number of errors, is the most there can be;
it is below 1 as long as errors lie in more than one mask.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid


def review_curve(predicted: Sequence[float], true: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of all errors found against the share of masks looked at.

    Args:
        predicted: N numbers to sort by, largest first, usually expected numbers of error pixels. Among equal ones all orders are
            equally likely: the curve is their mean, a straight line.
        true: N true numbers of error pixels, >= 0.

    Returns:
        Looked at, and found: float64 (N + 1,) each, from (0, 0) to (1, 1). Found is NaN without any error.

    Raises:
        ValueError: if there are not as many of both.
    """
    if len(predicted) != len(true):
        raise ValueError(f"A review needs a prediction for each mask, not {len(predicted)} for {len(true)}.")
    errors = np.asarray(true, np.float64)
    # Groups of equal predictions, largest first, in which every mask counts as the group's mean.
    _, group, size = np.unique(-np.asarray(predicted, np.float64), return_inverse=True, return_counts=True)
    per_mask = np.repeat(np.bincount(group, errors, minlength=len(size)) / size, size)
    looked = np.linspace(0, 1, len(errors) + 1)
    with np.errstate(invalid="ignore"):
        found = np.concatenate([[0.0], per_mask.cumsum()]) / errors.sum()
    return looked, found


def area_under_review_curve(predicted: Sequence[float], true: Sequence[float]) -> float:
    """Area under `review_curve` by the trapezoidal rule, in [0, 1]; NaN without any error."""
    if len(true) == 0:
        return float("nan")
    looked, found = review_curve(predicted, true)
    return float(trapezoid(found, looked))


def found_at(predicted: Sequence[float], true: Sequence[float], share: float = 0.2) -> float:
    """Share of all errors found in the worst `share` of the masks, in [0, 1]; NaN without any error.

    Between two whole numbers of masks the curve is a straight line: a mask looked at in part shows that part of its errors.

    Args:
        predicted: see `review_curve`.
        true: see `review_curve`.
        share: of the masks, in [0, 1].
    """
    if len(true) == 0:
        return float("nan")
    return float(np.interp(share, *review_curve(predicted, true)))


def review_metrics(predicted: Sequence[float], true: Sequence[float]) -> dict[str, float]:
    """`review_area`, `review_area_oracle` and `review_found_20` (errors found in the worst 20 % of the masks)."""
    return {
        "review_area": area_under_review_curve(predicted, true),
        "review_area_oracle": area_under_review_curve(true, true),
        "review_found_20": found_at(predicted, true),
    }
