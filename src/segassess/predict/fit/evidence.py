"""Evidence of the error that a pixel can have: what assessor and fit say there, and of FP also around it in the mask.

A house that is wrong is wrong as a whole, and what few pixels say at its rim is noise. So inside the mask each kind of log-odds
counts at the pixel and as means with Gaussian weights, which do not cross the mask's outline. Outside, no outline bounds what
is missing, and means would blur small missing objects away.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from segassess.quality import FN, FP, TN, TP

# The classes that a pixel can have inside the mask, and outside: right, wrong.
PAIRS = ((TP, FP), (TN, FN))
# Standard deviations of the means, in pixels, and number of planes of evidence of the assessor, and of the fit.
SIGMAS = (4.0, 16.0)
PLANES = 1 + len(SIGMAS)
_LARGEST, _CERTAIN = 15.0, 1e-3

# Log-odds of the error that a pixel can have (2 * PLANES, ...): the assessor's, its means, the fit's, and its means; outside
# the mask the means are 0.
Evidence: TypeAlias = NDArray[np.float32]


def assessed_odds(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log-odds of FP and of FN of quality probabilities (4, ...); NaN where they are NaN, finite where they are certain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(probabilities)
        odds = [np.where(probabilities[right] + probabilities[wrong] > 0, logs[wrong] - logs[right], 0) for right, wrong in PAIRS]
    unknown = np.isnan(probabilities).any(axis=0)
    false, missing = (np.where(unknown, np.nan, np.clip(each, -_LARGEST, _LARGEST)).astype(np.float32) for each in odds)
    return false, missing


def inside_mask(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where quality probabilities (4, h, w) lie inside the mask; without consistent decoding, where they say so."""
    return np.asarray(probabilities[TP] + probabilities[FP] > probabilities[TN] + probabilities[FN])


def assessor_evidence(probabilities: NDArray[np.float32], inside: NDArray[np.bool_]) -> Evidence:
    """What an assessor says (`PLANES`, h, w), of calibrated quality probabilities (4, h, w); NaN where they are NaN."""
    own = np.where(inside, *assessed_odds(probabilities))
    return np.stack([own, *_means(own, inside & ~np.isnan(own))])


def fit_means(reference: NDArray[np.float32], inside: NDArray[np.bool_]) -> Evidence:
    """The means of what a reference map (h, w) says (`PLANES` - 1, h, w); they need no calibration, since weights follow."""
    return _means(-logit(np.clip(reference, _CERTAIN, 1 - _CERTAIN)).astype(np.float32), inside)


def _means(odds: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    means = np.zeros((len(SIGMAS), *odds.shape), np.float32)
    for mean, sigma in zip(means, SIGMAS, strict=True):
        weight, total = (cv2.GaussianBlur(np.where(inside, each, np.float32(0)), (0, 0), sigma) for each in (np.float32(1), odds))
        np.divide(total, weight, out=mean, where=inside)
    return means
