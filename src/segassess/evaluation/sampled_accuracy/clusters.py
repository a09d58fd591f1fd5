"""Figures by count of objects from a stratified sample of blocks of ground, in each of which all objects are judged.

A block is a cluster of objects, and a figure the ratio of two totals over blocks: the combined ratio estimator of a stratified
sample (Cochran, Sampling Techniques, 3rd edition, sections 6.11 and 9A.2; Sarndal et al., Model Assisted Survey Sampling, section
7.3), corrected for finite populations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segassess.evaluation.sampled_accuracy.design import LEAST_ERROR, Stratum
from segassess.evaluation.sampled_accuracy.estimates import PRIOR_LOOKS, Estimate, freedom, interval, looks_to_halve


@dataclass(frozen=True)
class SeenBlocks:
    """Blocks of a stratum that were looked at, all (n,): objects of the layer, those that are wrong, and those it lacks."""

    objects: NDArray[np.int64]
    wrong: NDArray[np.int64]
    missed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.objects)


# What a block adds to numerator and denominator, from its right, wrong and missed objects.
_FIGURES: Mapping[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "precision": ((1, 0, 0), (1, 1, 0)),
    "recall": ((1, 0, 0), (1, 0, 1)),
    "f1": ((2, 0, 0), (2, 1, 1)),
}
FIGURES = tuple(_FIGURES)


def estimate_blocks(figure: str, strata: Sequence[Stratum], seen: Sequence[SeenBlocks], *, confidence: float = 0.95) -> Estimate:
    """Estimate one of `FIGURES`, in [0, 1]; the sizes of strata are numbers of blocks.

    NaN where no object was seen. Raises ValueError if a stratum of at least one block has no look.
    """
    return _ratio(strata, seen, *_FIGURES[figure], confidence=confidence, share=True)


def estimate_true_objects(
    strata: Sequence[Stratum], seen: Sequence[SeenBlocks], objects: int, *, confidence: float = 0.95
) -> Estimate:
    """Estimate how many objects there are in truth, from the known number of `objects` in the layer by a ratio estimator."""
    return _ratio(strata, seen, (1, 0, 1), (1, 1, 0), confidence=confidence, share=False).times(objects)


def _ratio(
    strata: Sequence[Stratum],
    seen: Sequence[SeenBlocks],
    above: tuple[int, int, int],
    below: tuple[int, int, int],
    *,
    confidence: float,
    share: bool,
) -> Estimate:
    kept = [(stratum, blocks) for stratum, blocks in zip(strata, seen, strict=True) if stratum.size]
    if any(not len(blocks) for _, blocks in kept):
        raise ValueError("Every stratum needs a look.")
    counts = [np.stack([blocks.objects - blocks.wrong, blocks.wrong, blocks.missed]) for _, blocks in kept]
    values = [np.array([above, below]) @ each for each in counts]
    numerator, denominator = np.sum(
        [stratum.size * each.mean(axis=1) for (stratum, _), each in zip(kept, values, strict=True)], 0
    )
    if denominator <= 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    ratio = float(numerator / denominator)
    residuals = [each[0] - ratio * each[1] for each in values]
    spreads = _spreads([stratum for stratum, _ in kept], residuals)
    parts = [
        (stratum, len(blocks), (stratum.size / float(denominator)) ** 2 * spread)
        for (stratum, blocks), spread in zip(kept, spreads, strict=True)
    ]
    variance = sum(part * (1 / count - 1 / stratum.size) for stratum, count, part in parts)
    error, more = math.sqrt(variance), looks_to_halve(parts, variance)
    if share:
        return interval(ratio, error, freedom(parts), confidence, more)
    far = float(stats.t.ppf((1 + confidence) / 2, max(freedom(parts), 1.0)))
    return Estimate(ratio, error, max(ratio - far * error, 0.0), ratio + far * error, more)


def _spreads(strata: Sequence[Stratum], residuals: Sequence[NDArray[np.float64]]) -> list[float]:
    """Variance of the blocks of each stratum, as if `PRIOR_LOOKS` more had the spread that all strata lead to expect.

    Few blocks may be alike by chance. A spread is expected in proportion to the number of errors, as of counts.
    """
    squares = np.array([((each - each.mean()) ** 2).sum() for each in residuals])
    free = np.array([len(each) - 1 for each in residuals])
    error = np.array([stratum.mean_error for stratum in strata])
    error = np.maximum(error, LEAST_ERROR * max(error.max(), LEAST_ERROR))
    expected = error * squares.sum() / max((free * error).sum(), LEAST_ERROR)
    return [float(each) for each in (squares + PRIOR_LOOKS * expected) / (free + PRIOR_LOOKS)]
