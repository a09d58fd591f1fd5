"""Strata of a population, and how many looks each of them gets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Looks in every stratum, so that its spread can be estimated.
LEAST_LOOKS = 5
# A stratum is not taken to be surer than this, whatever P(error) says: a judge may be wrong.
LEAST_ERROR = 0.02


@dataclass(frozen=True)
class Stratum:
    """Units that are judged alike: a name, whether they lie in the mask, their number, and the sum of their P(error).

    Of blocks `error` is the sum of their expected numbers of wrong and missed objects, and `inside` means nothing.
    """

    name: str
    inside: bool
    size: int
    error: float

    @property
    def mean_error(self) -> float:
        """Mean P(error) in [0, 1], of blocks mean number of errors; 0 without units."""
        return self.error / self.size if self.size else 0.0


def allocate(strata: Sequence[Stratum], looks: int) -> NDArray[np.int64]:
    """Looks in each stratum, (N,), so that the interval of the IoU becomes as narrow as it can.

    Neyman's allocation (Cochran, Sampling Techniques, 3rd edition, section 5.5): in proportion to size times standard deviation
    of what the IoU depends on linearly, `y - IoU x` (section 6.5). By P(error), this is p (1 - p) inside the mask, and IoU^2 p
    (1 - p) outside. Every stratum gets `LEAST_LOOKS`, none more than its size; the sum is `looks`, more if that many are needed
    for all strata, less if there are fewer units.
    """
    size = np.array([stratum.size for stratum in strata], np.float64)
    inside = np.array([stratum.inside for stratum in strata], bool)
    error = np.clip([stratum.mean_error for stratum in strata], LEAST_ERROR, 1 - LEAST_ERROR)
    wrong = size * error
    right = (size - wrong)[inside].sum()
    iou = right / max(size[inside].sum() + wrong[~inside].sum(), 1.0)
    weight = size * np.sqrt(error * (1 - error)) * np.where(inside, 1.0, iou)
    return in_proportion(size, weight, looks)


def in_proportion(size: NDArray[np.float64], weight: NDArray[np.float64], looks: int) -> NDArray[np.int64]:
    """Looks in each of N strata of so many units, (N,), in proportion to weights; limits and sum are those of `allocate`."""
    least = np.minimum(size, LEAST_LOOKS)
    wanted = min(max(looks, least.sum()), size.sum())
    low, high = 0.0, size.sum() / weight[weight > 0].min() if weight.any() else 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle * weight, least, size).sum() < wanted else (low, middle)
    given = np.clip(low * weight, least, size)
    # Whole numbers with the same sum, the largest remainders rounded up.
    whole: NDArray[np.int64] = np.floor(given).astype(np.int64)
    short = int(wanted - whole.sum())
    whole[np.argsort(whole - given, kind="stable")[:short]] += 1
    return whole


def allocate_counts(strata: Sequence[Stratum], looks: int) -> NDArray[np.int64]:
    """Looks in each of N strata of blocks, whose `error` is an expected number of errors: the variance of a count is its mean."""
    size = np.array([stratum.size for stratum in strata], np.float64)
    mean = np.array([stratum.mean_error for stratum in strata])
    return in_proportion(size, size * np.sqrt(np.maximum(mean, LEAST_ERROR)), looks)
