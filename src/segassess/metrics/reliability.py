"""Reliability of P(error): curves and the expected calibration error (ECE)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segassess.quality import error_map

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Valid pixels in bins of equal width by P(error) = P(FP) + P(FN); parts of the data add up.

    `outside` and `inside` the mask are float64 (3, BINS): number of pixels, sum of their P(error), and number of wrong pixels.
    The error is FN outside and FP inside.
    """

    outside: NDArray[np.float64]
    inside: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: Tensor, mask: Tensor, truth: Tensor, valid: Tensor) -> "Reliability":
        """Count a batch: probabilities (B, 4, H, W), the rest (B, 1, H, W) with > 0 as foreground; NaN does not count."""
        error, inside = error_map(probabilities), mask[:, 0] > 0
        counted = valid[:, 0] & ~error.isnan()
        error, inside, wrong = error[counted].double(), inside[counted], (inside != (truth[:, 0] > 0))[counted]
        index = inside.long() * BINS + (error * BINS).long().clamp(0, BINS - 1)
        sums = [torch.bincount(index, weights, minlength=2 * BINS) for weights in (None, error, wrong.double())]
        outside, within = torch.stack([each.double() for each in sums]).cpu().numpy().reshape(3, 2, BINS).transpose(1, 0, 2)
        return cls(outside, within)

    @classmethod
    def none(cls) -> "Reliability":
        """No pixels."""
        return cls(np.zeros((3, BINS)), np.zeros((3, BINS)))

    @property
    def everywhere(self) -> NDArray[np.float64]:
        """float64 (3, BINS) of all pixels, inside and outside the mask."""
        return self.outside + self.inside

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(self.outside + other.outside, self.inside + other.inside)

    def errors(self) -> dict[str, float]:
        """`ece` of all pixels, `ece_fp` of those inside the mask, `ece_fn` of those outside; NaN without pixels."""
        return {
            "ece": calibration_error(self.everywhere),
            "ece_fp": calibration_error(self.inside),
            "ece_fn": calibration_error(self.outside),
        }


def calibration_error(bins: NDArray[np.float64]) -> float:
    """ECE (arXiv 1706.04599, section 2) of bins (3, BINS), in [0, 1]: mean over pixels of |share of errors - mean P(error)|."""
    pixels, predicted, wrong = bins
    return float(np.abs(wrong - predicted).sum() / pixels.sum()) if pixels.any() else float("nan")


def reliability_curve(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean P(error), observed share of errors (both NaN in empty bins) and number of pixels, (3, BINS) like the argument."""
    pixels, predicted, wrong = bins
    some = np.where(pixels > 0, pixels, np.nan)
    return np.stack([predicted / some, wrong / some, pixels])
