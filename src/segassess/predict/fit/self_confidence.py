"""What a layer's own labels say about the reference map and about themselves; no ground truth.

Confident learning (arXiv 1911.00068): a pixel counts as confidently of a class if its P, from a network that did not learn
from it, is at least the mean P of the pixels that the layer gives to this class. How often confident class and label disagree
estimates how much the layer omits and invents, and with these rates follows how probable an error is at each pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from segassess.models.calibration import fit_log_odds

BINS = 512
# Rates are kept within these limits, so that a layer without errors keeps finite odds.
_RATES = 1e-3, 0.45
_CERTAIN = 1e-3


class LabelCounts:
    """Counts pixels by P(object), in bins, and by the layer's label."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, BINS), np.int64)  # background, object

    def update(self, reference: NDArray[np.float32], mask: NDArray[np.bool_], valid: NDArray[np.bool_]) -> None:
        """Count the valid pixels of a window, all (h, w)."""
        bins = np.clip((reference[valid] * BINS).astype(np.int64), 0, BINS - 1)
        self.counts += np.bincount(bins + BINS * mask[valid], minlength=2 * BINS).reshape(2, BINS)

    def self_confidence(self) -> "SelfConfidence":
        """Estimate rates and calibration."""
        centres = (np.arange(BINS) + 0.5) / BINS
        background, objects = self.counts
        scale, shift = fit_log_odds(logit(centres), self.counts.T.astype(np.float64), "affine")
        calibrated = expit(scale * logit(centres) + shift)
        sure_object = calibrated >= _mean(calibrated, objects)
        sure_background = (1 - calibrated) >= _mean(1 - calibrated, background)
        # Confident pixels stand for all pixels of their label.
        missing, right_background = _shares(background, sure_object, sure_background)
        right_object, false = _shares(objects, sure_object, sure_background)
        omitted = missing / max(missing + right_object, 1)
        invented = false / max(false + right_background, 1)
        low, high = _RATES
        return SelfConfidence(scale, shift, float(np.clip(omitted, low, high)), float(np.clip(invented, low, high)))


@dataclass(frozen=True)
class SelfConfidence:
    """Turns the reference map into log-odds of errors.

    Attributes:
        scale, shift: of the reference map's log-odds, so that they predict the layer's labels best.
        omitted: share of the objects' pixels that the layer lacks.
        invented: share of the background's pixels that the layer gives to objects.
    """

    scale: float
    shift: float
    omitted: float
    invented: float

    def log_odds(self, reference: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-odds of FP inside the mask, and of FN outside it, of P(object) of any shape."""
        certain = np.clip(reference, _CERTAIN, 1 - _CERTAIN)
        labelled = expit(self.scale * logit(certain) + self.shift)
        # P(label) = P(object) (1 - omitted) + P(background) invented, solved for P(object).
        true = np.clip((labelled - self.invented) / (1 - self.omitted - self.invented), _CERTAIN, 1 - _CERTAIN)
        odds = logit(true).astype(np.float32)
        false = -odds + np.float32(math.log(self.invented / (1 - self.omitted)))
        missing = odds + np.float32(math.log(self.omitted / (1 - self.invented)))
        return false, missing


def best_cut(odds: NDArray[np.float32]) -> float:
    """Log-odds above which to call pixels errors, for the best IoU to be expected if the odds are right; (N,) -> float.

    The sums of P over all pixels, over those called errors and over those not, stand for the counts.
    """
    if not len(odds):
        return 0.0
    ranked = np.sort(odds.astype(np.float64))[::-1]
    wrong = expit(ranked)
    iou = wrong.cumsum() / (wrong.sum() + (1 - wrong).cumsum())
    return float(ranked[int(iou.argmax())])


def _mean(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    return float(np.average(values, weights=counts)) if counts.sum() else 1.0


def _shares(counts: NDArray[np.int64], sure_object: NDArray[np.bool_], sure_background: NDArray[np.bool_]) -> tuple[float, float]:
    """Pixels of one label that are objects and background, estimated from those that are confidently so."""
    first, second = counts[sure_object].sum(), counts[sure_background].sum()
    share = first / max(first + second, 1)
    return float(counts.sum() * share), float(counts.sum() * (1 - share))
