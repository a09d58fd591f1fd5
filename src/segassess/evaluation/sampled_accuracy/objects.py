"""Objects of judged layers as a population, alone or in square blocks of ground: strata, and a random sample of each.

Objects are the polygons of a layer, or the objects of a raster mask, and those that are listed as missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from segassess.evaluation.sampled_accuracy.design import LEAST_LOOKS, Stratum
from segassess.evaluation.sampled_accuracy.points import Point
from segassess.findings.object_scores import MISSED, RIGHT
from segassess.outputs.judged_folder import JudgedFolder, rows_of_maps
from segassess.outputs.review_queue.findings import KINDS, Finding, make_findings
from segassess.quality import NOT_ASSESSED
from segassess.raster import Georeference, Grid
from segassess.raster.grid import apply, apply_to_all
from segassess.raster.opening import opened

# P(error) at which objects of a kind are divided.
_LIMITS = {RIGHT: (0.1,), KINDS[MISSED]: (0.6,)}
_KINDS = (RIGHT, *(kind for kind in KINDS.values() if kind != KINDS[MISSED]), KINDS[MISSED])
# Strata of blocks.
_LEVELS = 4
# Pixels around an object, and around a block, on the page.
_AROUND = 48
_LEAST_SIDE = 129


@dataclass(frozen=True)
class Population:
    """Units of which a sample is drawn: their strata, the stratum of each (N,), and how each is shown, all in one order.

    `objects` is the number of objects in the layers.
    """

    strata: list[Stratum]
    stratum: NDArray[np.int64]
    units: "Sequence[Finding | Block]"
    objects: int


@dataclass(frozen=True)
class Block:
    """A square of ground, `box` being left, top, right, bottom in pixels, with the objects of the layer whose middle is in it."""

    name: str
    source: str
    box: tuple[int, int, int, int]
    objects: tuple[Finding, ...]
    expected: float  # number of wrong and missed objects


def listed_objects(masks: Sequence[JudgedFolder]) -> list[Finding]:
    """All objects of the layers and those listed as missed; RequestError if results are missing."""
    return make_findings(masks, need_place=False, right=True)


def object_population(masks: Sequence[JudgedFolder]) -> Population:
    """Single objects, by kind and P(error)."""
    found = listed_objects(masks)
    kinds = np.array([each.kind for each in found], object)
    errors = np.array([each.p_error for each in found], float)
    of = np.zeros(len(found), np.int64)
    strata: list[Stratum] = []
    for kind in _KINDS:
        limits = _LIMITS.get(kind, ())
        level = np.searchsorted(limits, errors, side="right")
        for at, (low, high) in enumerate(pairwise((0.0, *limits, 1.0))):
            here = (kinds == kind) & (level == at)
            of[here] = len(strata)
            name = f"{kind}, P(error) {low:g} to {high:g}"
            strata.append(Stratum(name, kind != KINDS[MISSED], int(here.sum()), float(errors[here].sum())))
    return Population(strata, of, found, sum(stratum.size for stratum in strata if stratum.inside))


def block_population(masks: Sequence[JudgedFolder], side: int) -> Population:
    """Squares of `side` pixels in which anything was assessed, those at the edges smaller; by expected errors."""
    blocks: list[Block] = []
    for mask in masks:
        blocks += _blocks(mask, side)
    expected = np.array([block.expected for block in blocks])
    of = levels(expected)
    strata: list[Stratum] = []
    for level in range(_LEVELS):
        here = expected[of == level]
        name = f"{here.min():.2f} to {here.max():.2f} expected errors" if len(here) else f"level {level + 1}"
        strata.append(Stratum(name, True, len(here), float(here.sum())))
    return Population(strata, of, blocks, sum(len(block.objects) for block in blocks))


def levels(expected: NDArray[np.float64]) -> NDArray[np.int64]:
    """Strata of N blocks: levels of expected errors that share the sum of their square roots (Cochran, section 5A.7)."""
    order = np.argsort(expected, kind="stable")
    roots = np.cumsum(np.sqrt(expected[order] + 1e-3))
    levels = np.empty(len(expected), np.int64)
    if len(expected):
        levels[order] = np.minimum(roots / roots[-1] * _LEVELS, _LEVELS - 1).astype(np.int64)
    # Too few to look at more than one.
    return np.where(np.bincount(levels, minlength=_LEVELS)[levels] < LEAST_LOOKS, 0, levels)


def middles_of(outlines: Sequence[shapely.Geometry] | NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A point in each outline (N,), in pixels, where an image of `size` (rows, columns) has it; empty if it does not."""
    height, width = size
    return np.asarray(
        shapely.point_on_surface(shapely.intersection(np.array(outlines, object), shapely.box(0, 0, width, height)))
    )


def _blocks(mask: JudgedFolder, side: int) -> list[Block]:
    with opened(mask.require("quality.tif")) as quality, opened(mask.require("error.tif")) as error:
        height, width = quality.height, quality.width
        assessed = np.zeros((-(-height // side), -(-width // side)), bool)
        for top, codes, _ in rows_of_maps(quality, error):
            known = np.logical_or.reduceat(codes != NOT_ASSESSED, np.arange(0, width, side), axis=1)
            np.logical_or.at(assessed, (top + np.arange(len(codes))) // side, known)
    inside: dict[tuple[int, int], list[Finding]] = {}
    expected = np.zeros(assessed.shape)
    listed = listed_objects([mask])
    middles = middles_of([each.outline_px for each in listed], (height, width))
    for each, middle in zip(listed, middles, strict=True):
        if middle.is_empty:
            continue
        at = min(int(middle.y), height - 1) // side, min(int(middle.x), width - 1) // side
        expected[at] += each.p_error
        if each.kind != KINDS[MISSED]:
            inside.setdefault(at, []).append(each)
    blocks = []
    for row, column in np.argwhere(assessed).tolist():
        box = column * side, row * side, min((column + 1) * side, width), min((row + 1) * side, height)
        blocks.append(Block(mask.name, mask.source, box, tuple(inside.get((row, column), ())), float(expected[row, column])))
    return blocks


def draw_units(
    population: Population, masks: Sequence[JudgedFolder], looks: NDArray[np.int64], rng: np.random.Generator
) -> list[Point]:
    """Draw so many units of each stratum without replacement, all equally likely, and return them in random order."""
    grids = {}
    for mask in masks:
        with opened(mask.require("quality.tif")) as quality:
            grids[mask.name] = Grid.of(quality)
    chosen = [rng.choice(np.flatnonzero(population.stratum == at), int(number), replace=False) for at, number in enumerate(looks)]
    order = rng.permutation(np.concatenate(chosen))
    return [_shown(population.units[at], int(population.stratum[at]), grids) for at in order.tolist()]


def _degrees(place: Georeference, points: NDArray[np.float64]) -> NDArray[np.float64]:
    found = place.degrees(apply_to_all(place.transform, points))
    assert found is not None, "the middle has a place on the earth"
    return found


def _shown(unit: "Finding | Block", stratum: int, grids: Mapping[str, Grid]) -> Point:
    place = grids[unit.name].georeference
    outline: shapely.Geometry
    if isinstance(unit, Block):
        outline, shown, error = shapely.box(*unit.box), tuple(each.outline_px for each in unit.objects), unit.expected
    else:
        outline, shown, error = unit.outline_px, (unit.outline_px,), unit.p_error
    middle = shapely.point_on_surface(outline)
    x, y = (middle.x, middle.y) if place is None else apply(place.transform, (middle.x, middle.y))
    degrees = None if place is None or place.crs is None else place.degrees(np.array([[x, y]]))
    lon, lat = (np.nan, np.nan) if degrees is None else degrees[0].tolist()
    left, top, right, bottom = shapely.bounds(outline).tolist()
    return Point(
        name=unit.name,
        source=unit.source,
        stratum=stratum,
        error=float(error),
        column=int(middle.x),
        row=int(middle.y),
        x=float(x),
        y=float(y),
        lon=lon,
        lat=lat,
        outlines=shown,
        ground=None if degrees is None or place is None else shapely.transform(outline, partial(_degrees, place)),
        box=unit.box if isinstance(unit, Block) else None,
        side=max(int(max(right - left, bottom - top)) + 2 * _AROUND, _LEAST_SIDE) | 1,
    )
