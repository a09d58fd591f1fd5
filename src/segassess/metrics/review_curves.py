"""Review curves: how soon a reviewer finds the errors when looking at the masks in a predicted order, worst first.

Each mask takes the same time and shows all its errors. The area under the curve is 0.5 for a random order. The oracle sorts by
the true number of errors and reaches the maximum, which is below 1 as long as errors lie in more than one mask.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid


def review_curve(predicted: Sequence[float], true: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of masks looked at and share of all errors found, float64 (N + 1,) each, from (0, 0) to (1, 1).

    `predicted` sorts the N masks, largest first; equal values count as the mean of all their orders, a straight line. `true`
    are numbers of error pixels. The share found is NaN without any error. Raises ValueError if the two differ in length.
    """
    if len(predicted) != len(true):
        raise ValueError(f"A review needs a prediction for each mask, not {len(predicted)} for {len(true)}.")
    errors = np.asarray(true, np.float64)
    # Every mask counts as the mean of its group of equal predictions; the largest come first.
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
    """Share of all errors found in the worst `share` of the masks, interpolated linearly, in [0, 1]; NaN without any error."""
    if len(true) == 0:
        return float("nan")
    return float(np.interp(share, *review_curve(predicted, true)))


def review_metrics(predicted: Sequence[float], true: Sequence[float]) -> dict[str, float]:
    """`review_area`, `review_area_oracle` and `review_found_20`: errors found in the worst 20 % of the masks."""
    return {
        "review_area": area_under_review_curve(predicted, true),
        "review_area_oracle": area_under_review_curve(true, true),
        "review_found_20": found_at(predicted, true),
    }
