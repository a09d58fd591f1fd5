"""What strata by the quality map save: simulated samples beside simple random ones, with answers from the ground truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segassess.errors import RequestError
from segassess.evaluation.sampled_accuracy.design import Stratum, allocate
from segassess.evaluation.sampled_accuracy.estimates import Estimate, Looks, estimate
from segassess.evaluation.sampled_accuracy.points import bands
from segassess.evaluation.sampled_accuracy.recalibration import SeenPixels, scores
from segassess.findings.bands import PROBABILITY_STEPS
from segassess.outputs.judged_folder import JudgedFolder
from segassess.raster import Grid, open_mask
from segassess.raster.opening import opened


def wrong_pixels(masks: Sequence[JudgedFolder], truth: Path, strata: int) -> NDArray[np.int64]:
    """Wrong pixels in each stratum, (strata,). Raises RequestError if a mask has no truth, InputError if it cannot be read."""
    wrong = np.zeros(strata, np.int64)
    for stratum, _, is_wrong in _beside_truth(masks, truth):
        wrong += np.bincount(stratum[is_wrong], minlength=strata)
    return wrong


def agreement(masks: Sequence[JudgedFolder], truth: Path) -> dict[str, float]:
    """How well P(error) of all pixels agrees with the truth, see `recalibration.scores`; raises as `wrong_pixels` does."""
    steps = PROBABILITY_STEPS + 1
    pixels = np.zeros((2, steps))
    for _, error, is_wrong in _beside_truth(masks, truth):
        at = np.rint(error * PROBABILITY_STEPS).astype(int)
        pixels += [np.bincount(at[side], minlength=steps) for side in (~is_wrong, is_wrong)]
    # A unit for each step and outcome, of which all pixels are seen.
    stratum = np.arange(2 * steps)
    error = np.tile(np.arange(steps) / PROBABILITY_STEPS, 2)
    seen = SeenPixels(error, stratum >= steps, np.zeros(2 * steps, bool), stratum, pixels.ravel().astype(np.int64))
    return dict(scores(seen, error))


def _beside_truth(
    masks: Sequence[JudgedFolder], truth: Path
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]]:
    """Stratum, P(error) and whether the mask is wrong, of all assessed pixels, band by band, each (N,)."""
    for mask in masks:
        path = truth
        if truth.is_dir():
            found = sorted(truth.glob(f"{mask.name}.*"))
            if len(found) != 1:
                raise RequestError(f"{truth} has {len(found)} files for {mask.name}; it needs one of that name.")
            path = found[0]
        with opened(mask.require("quality.tif")) as quality:
            grid = Grid.of(quality)
        with open_mask(path, grid) as file:
            for stratum, error, inside, top in bands(mask):
                actual, _ = file.read(slice(top, top + len(stratum)))
                known = stratum >= 0
                yield stratum[known], error[known], (actual != inside)[known]


def simulate(
    strata: Sequence[Stratum], wrong: NDArray[np.int64], looks: int, rng: np.random.Generator, stratified: bool
) -> Estimate:
    """The IoU as estimated from one sample, by the design of `segassess sample` or from a simple random sample."""
    if stratified:
        given = allocate(strata, looks)
    else:
        given = rng.multivariate_hypergeometric([stratum.size for stratum in strata], looks, method="marginals")
    seen = []
    for stratum, bad, number in zip(strata, wrong, given, strict=True):
        hits = int(rng.hypergeometric(bad, stratum.size - bad, number)) if number else 0
        seen.append(Looks(np.arange(number) < hits, np.full(int(number), stratum.mean_error)))
    return estimate("iou", strata, seen)


def by_mask(strata: Sequence[Stratum], wrong: NDArray[np.int64]) -> tuple[list[Stratum], NDArray[np.int64]]:
    """Two strata, the mask and the rest, in place of many."""
    inside = np.array([stratum.inside for stratum in strata])
    joined = []
    for name, within in (("mask", True), ("rest", False)):
        parts = [stratum for stratum in strata if stratum.inside == within]
        joined.append(Stratum(name, within, sum(part.size for part in parts), sum(part.error for part in parts)))
    return joined, np.array([wrong[inside].sum(), wrong[~inside].sum()])
