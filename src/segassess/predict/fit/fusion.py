"""Join what an assessor says of a mask with what the fit to its layer says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from segassess.models.calibration import Calibration
from segassess.predict.fit.self_confidence import SelfConfidence
from segassess.quality import FN, FP, TN, TP

# How much the log-odds of the assessor and of the fit count, for FP and for FN; docs/results.md says how they were found.
ASSESSOR_WEIGHT, FIT_WEIGHT = 0.5, 0.8
_LARGEST = 15.0


@dataclass(frozen=True)
class Fusion:
    """Joined log-odds of errors: a weighted sum of the assessor's, calibrated, and the fit's.

    Attributes:
        confidence: what the layer says about itself.
        assessor: calibration of the assessor.
        cuts: joined log-odds of FP and FN above which a pixel is called an error.
    """

    confidence: SelfConfidence
    assessor: Calibration
    cuts: tuple[float, float] = (0.0, 0.0)

    def __call__(self, probabilities: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Joined quality probabilities (4, h, w), calibrated, of an assessor's (4, h, w) and a reference map (h, w).

        The mass of each pair, TP with FP and TN with FN, stays; NaN stays NaN.
        """
        joined = self.assessor.of_array(probabilities)
        for right, wrong, odds in ((TP, FP, 0), (TN, FN, 1)):
            pair = joined[right] + joined[wrong]
            mixed = self._joined(joined[wrong], joined[right], self.confidence.log_odds(reference)[odds])
            joined[wrong], joined[right] = pair * expit(mixed), pair * expit(-mixed)
        return joined

    @property
    def calibration(self) -> Calibration:
        """How to decide on joined probabilities: they are calibrated, and have cuts."""
        return Calibration(cuts=self.cuts)

    @staticmethod
    def _joined(wrong: NDArray[np.float32], right: NDArray[np.float32], fitted: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(divide="ignore", invalid="ignore"):
            assessed = np.clip(np.log(wrong) - np.log(right), -_LARGEST, _LARGEST)
        return np.asarray(ASSESSOR_WEIGHT * assessed + FIT_WEIGHT * fitted, np.float32)
