"""Pixels of judged masks as a population: strata by the quality map, and a random sample of each.

A stratum has the pixels that are called alike (TP, FP, TN or FN) and have P(error) between two limits. Maps are read by bands of
rows, twice: to count, and to draw.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from segassess.evaluation.sampled_accuracy.design import Stratum
from segassess.outputs.judged_folder import JudgedFolder, rows_of_maps
from segassess.quality import CLASS_NAMES, FN, FP, TN, TP
from segassess.raster import Grid
from segassess.raster.grid import apply_to_all
from segassess.raster.opening import opened

# P(error) at which the pixels of a class are divided.
LIMITS = {TP: (0.05, 0.2), FP: (0.5,), TN: (0.02, 0.1), FN: (0.5,)}
_FIRST = dict(zip(LIMITS, np.cumsum([0, *(len(limits) + 1 for limits in LIMITS.values())]).tolist(), strict=False))


@dataclass(frozen=True)
class Point:
    """A pixel to look at: mask, stratum, P(error), column and row in the image, its centre in the CRS (pixels without one).

    Of another unit a point in the middle of it, its outline on the `ground` in WGS 84, and in pixels of the image the `outlines`
    that are shown, of a block its `box` (left, top, right, bottom), and the `side` of its picture.
    """

    name: str
    source: str
    stratum: int
    error: float
    column: int
    row: int
    x: float
    y: float
    lon: float  # NaN without a CRS, as is lat
    lat: float
    outlines: tuple[shapely.Geometry, ...] = ()
    ground: shapely.Geometry | None = None
    box: tuple[int, int, int, int] | None = None
    side: int = 129


def count_strata(masks: Sequence[JudgedFolder]) -> tuple[list[Stratum], float | None]:
    """Strata of all assessed pixels, some perhaps empty, and the ground area of a pixel in square metres.

    The area is None unless all masks have one, and the mean over pixels where they differ. Raises RequestError if a map is
    missing, InputError if it cannot be read.
    """
    count = sum(len(limits) + 1 for limits in LIMITS.values())
    size, error = np.zeros(count, np.int64), np.zeros(count)
    areas: list[tuple[float | None, int]] = []
    for mask in masks:
        before = size.sum()
        for stratum, p_error, _, _ in bands(mask):
            known = stratum >= 0
            size += np.bincount(stratum[known], minlength=count)
            error += np.bincount(stratum[known], p_error[known], minlength=count)
        with opened(mask.require("quality.tif")) as quality:
            areas.append((Grid.of(quality).pixel_area_m2, int(size.sum() - before)))
    strata = []
    for code, limits in LIMITS.items():
        edges = (0.0, *limits, 1.0)
        for level, (low, high) in enumerate(pairwise(edges)):
            index = _FIRST[code] + level
            name = f"{CLASS_NAMES[code]}, P(error) {low:g} to {high:g}"
            strata.append(Stratum(name, code in (TP, FP), int(size[index]), float(error[index])))
    known_areas = [(area, pixels) for area, pixels in areas if area is not None]
    complete = bool(known_areas) and len(known_areas) == len(areas)
    total = sum(pixels for _, pixels in known_areas)
    return strata, sum(area * pixels for area, pixels in known_areas) / total if complete and total else None


def draw_points(
    masks: Sequence[JudgedFolder], strata: Sequence[Stratum], looks: NDArray[np.int64], rng: np.random.Generator
) -> list[Point]:
    """Draw so many pixels of each stratum without replacement, all equally likely, and return them in random order."""
    chosen = [
        np.sort(rng.choice(stratum.size, int(number), replace=False)) for stratum, number in zip(strata, looks, strict=True)
    ]
    passed = np.zeros(len(strata), np.int64)
    points: list[Point] = []
    for mask in masks:
        with opened(mask.require("quality.tif")) as quality:
            georeference = Grid.of(quality).georeference
        for stratum, p_error, _, top in bands(mask):
            for index in range(len(strata)):
                places = np.flatnonzero(stratum.ravel() == index)
                first, last = np.searchsorted(chosen[index], (passed[index], passed[index] + len(places)))
                wanted = places[chosen[index][first:last] - passed[index]]
                passed[index] += len(places)
                rows, columns = np.divmod(wanted, stratum.shape[1])
                centres = np.column_stack([columns + 0.5, rows + top + 0.5])
                degrees = None
                if georeference is not None:
                    centres = apply_to_all(georeference.transform, centres)
                    degrees = georeference.degrees(centres) if georeference.crs is not None and len(centres) else None
                if degrees is None:
                    degrees = np.full_like(centres, np.nan)
                for row, column, centre, degree in zip(rows, columns, centres.tolist(), degrees.tolist(), strict=True):
                    error = float(p_error[row, column])
                    points.append(Point(mask.name, mask.source, index, error, int(column), int(row) + top, *centre, *degree))
    return [points[index] for index in rng.permutation(len(points))]


def bands(mask: JudgedFolder) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_], int]]:
    """Stratum of each pixel, -1 where not assessed, P(error) and the mask, all (h, W), and the first row, band by band."""
    with opened(mask.require("quality.tif")) as quality, opened(mask.require("error.tif")) as error:
        for top, codes, p_error in rows_of_maps(quality, error):
            # What was not assessed is of no class.
            stratum = np.full(codes.shape, -1, np.int64)
            for code, limits in LIMITS.items():
                here = codes == code
                stratum[here] = _FIRST[code] + np.searchsorted(limits, p_error[here], side="right")
            yield stratum, p_error, (codes == TP) | (codes == FP), top
