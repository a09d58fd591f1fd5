"""Whether probabilities of error mean what they say: reliability curves and the expected calibration error (ECE)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segassess.quality import error_map

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Valid pixels by predicted P(error) = P(FP) + P(FN), in bins of equal width over [0, 1]; parts of the data add up.

    Attributes:
        outside: float64 (3, BINS), of pixels outside the mask, whose error is FN: number of pixels, sum of their P(error), and
            number of them that are wrong.
        inside: the same of pixels inside the mask, whose error is FP.
    """

    outside: NDArray[np.float64]
    inside: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: Tensor, mask: Tensor, truth: Tensor, valid: Tensor) -> "Reliability":
        """Count a batch.

        Args:
            probabilities: float (B, 4, H, W); a pixel with NaN does not count.
            mask: (B, 1, H, W), > 0 is foreground.
            truth: the same.
            valid: bool (B, 1, H, W), pixels that count.
        """
        error, inside = error_map(probabilities), mask[:, 0] > 0
        counted = valid[:, 0] & ~error.isnan()
        error, inside, wrong = error[counted].double(), inside[counted], (inside != (truth[:, 0] > 0))[counted]
        index = inside.long() * BINS + (error * BINS).long().clamp(0, BINS - 1)
        sums = [torch.bincount(index, weights, minlength=2 * BINS) for weights in (None, error, wrong.double())]
        outside, within = torch.stack([each.double() for each in sums]).cpu().numpy().reshape(3, 2, BINS).transpose(1, 0, 2)
        return cls(outside, within)

    @classmethod
    def none(cls) -> "Reliability":
        """Of no pixel at all."""
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
    """Expected calibration error (arXiv 1706.04599, section 2): |observed share of errors - mean P(error)|, mean over pixels.

    Args:
        bins: (3, BINS), see `Reliability`.

    Returns:
        In [0, 1], NaN without pixels.
    """
    pixels, predicted, wrong = bins
    return float(np.abs(wrong - predicted).sum() / pixels.sum()) if pixels.any() else float("nan")


def reliability_curve(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean P(error), observed share of errors, and number of pixels of each bin.

    Args:
        bins: (3, BINS), see `Reliability`.

    Returns:
        float64 (3, BINS); the first two rows are NaN where a bin is empty.
    """
    pixels, predicted, wrong = bins
    some = np.where(pixels > 0, pixels, np.nan)
    return np.stack([predicted / some, wrong / some, pixels])
