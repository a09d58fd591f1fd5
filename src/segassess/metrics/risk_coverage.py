"""Risk and coverage (El-Yaniv and Wiener, JMLR 11, 2010): how wrong the mask is where P(error) says that it is right.

Coverage is the share of pixels that are taken as the mask has them, those with the lowest P(error) first; risk is the share of
wrong ones among them. What remains is looked at by people.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

COVERAGE = 0.95


def risk_coverage_curve(bins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coverage from 0 to 1 and risk in [0, 1], of the bins (3, N) of `metrics.reliability`; within a bin in random order.

    An empty bin gives no point. Without pixels, both are empty.
    """
    pixels, _, wrong = bins[:, bins[0] > 0]
    if not pixels.size:
        return np.zeros(0), np.zeros(0)
    coverage, risk = pixels.cumsum() / pixels.sum(), wrong.cumsum() / pixels.cumsum()
    return np.concatenate([[0.0], coverage]), np.concatenate([risk[:1], risk])


def risk_metrics(bins: NDArray[np.float64]) -> dict[str, float]:
    """`risk_95`, the risk at a coverage of 95 %, and `aurc`, the area under the curve; both in [0, 1], NaN without pixels."""
    pixels, _, wrong = bins
    if not pixels.any():
        return {"risk_95": float("nan"), "aurc": float("nan")}
    # Numbers of wrong pixels, unlike the risk, grow linearly within a bin.
    taken, missed = (np.concatenate([[0.0], each.cumsum()]) for each in (pixels, wrong))
    accepted = COVERAGE * taken[-1]
    return {
        "risk_95": float(np.interp(accepted, taken, missed) / accepted),
        "aurc": float(trapezoid(*risk_coverage_curve(bins)[::-1])),
    }
