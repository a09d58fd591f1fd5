"""A verdict on each polygon of a layer that is judged as a mask, gathered from a quality map that comes by rows.

The mask has lost which polygon a pixel is of: polygons that touch are one object in it. Here each is rasterised by itself, so
that a pixel in which polygons overlap counts for all of them. What is missing around a polygon is charged to the object that it
is part of.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from segassess.findings.judged_rows import JudgedRows
from segassess.findings.object_scores import verdict
from segassess.quality import FP
from segassess.raster import VectorMask

# Of a polygon without a pixel that was assessed.
UNKNOWN = "not assessed"


@dataclass(frozen=True, slots=True)
class PolygonScore:
    """What is estimated of one polygon.

    Attributes:
        polygon: its number, the worst first.
        feature: id of its feature in the layer, as GDAL gives it.
        object: number of the object of the mask that most of its pixels are part of; 0 if that is left out, or it has no pixels.
        verdict: "right", "partly wrong" or "wrong" by its estimated precision, see `object_scores.verdict`; "not assessed" where
            it has no pixels.
        area_px: its pixels that were assessed: of the image, with their centres in it, and not nodata.
        area_m2: the same on the ground, NaN if that is unknown.
        expected_tp_px: expected true pixels of it, the sum of P(TP).
        expected_fp_px: expected false ones, the rest, by which polygons are ranked.
        estimated_precision: expected share of it that is true, in [0, 1]; NaN without pixels, as are the following.
        fp_share: share of its pixels that the quality map calls FP, in [0, 1].
        mean_error: mean P(error) of its pixels, in [0, 1].
        max_error: the largest of them.
        outline: polygon or multipolygon of the layer, in pixel coordinates.
    """

    polygon: int
    feature: int
    object: int
    verdict: str
    area_px: int
    area_m2: float
    expected_tp_px: float
    expected_fp_px: float
    estimated_precision: float
    fp_share: float
    mean_error: float
    max_error: float
    outline: shapely.Geometry


POLYGON_COLUMNS = tuple(field.name for field in fields(PolygonScore) if field.name != "outline")


class PolygonSweep:
    """Gathers scores of polygons from rows; memory grows with their number and not with that of pixels.

    Args:
        layer: the polygons, on the grid of the rows.
        pixel_area_m2: area of a pixel on the ground, or None.
    """

    def __init__(self, layer: VectorMask, *, pixel_area_m2: float | None = None) -> None:
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._layer = layer
        self._top = 0
        count = len(layer.polygons)
        self._area, self._false = np.zeros((2, count), np.int64)
        self._true, self._errors, self._largest = np.zeros((3, count))
        # Polygon, provisional number of an object of the mask, and how many pixels they share; (3, K) by chunk.
        self._shared: list[NDArray[np.int64]] = []

    def add(self, rows: JudgedRows, objects: NDArray[np.int64]) -> None:
        """Take the next rows, and the provisional numbers (h, W) of the objects of the mask in them, 0 outside."""
        shared = [np.zeros((3, 0), np.int64)]
        for piece in self._layer.pixels(self._top, self._top + len(rows)):
            box, index = (piece.rows, piece.columns), piece.polygon
            inside = piece.inside & (objects[box] > 0)
            if not inside.any():
                continue
            error = rows.error[box][inside]
            self._area[index] += len(error)
            self._false[index] += np.count_nonzero(rows.quality[box][inside] == FP)
            self._true[index] += rows.true[box][inside].sum(dtype=np.float64)
            self._errors[index] += error.sum(dtype=np.float64)
            self._largest[index] = max(self._largest[index], error.max())
            numbers, pixels = np.unique(objects[box][inside], return_counts=True)
            shared.append(np.stack([np.full(len(numbers), index), numbers, pixels]))
        self._shared.append(np.concatenate(shared, axis=1))
        self._top += len(rows)

    def finish(self, numbers: NDArray[np.int64]) -> list[PolygonScore]:
        """Gather all polygons, the one with the most expected false pixels first; no rows can be added any more.

        Args:
            numbers: of the objects of the mask by provisional number - 1; 0 of one that is left out.
        """
        area, objects = self._area, _largest_share(self._shared, numbers, len(self._area))
        with np.errstate(invalid="ignore"):
            precision, false, mean = self._true / area, self._false / area, self._errors / area
        polygons = [
            PolygonScore(
                polygon=0,
                feature=int(self._layer.features[index]),
                object=int(objects[index]),
                verdict=verdict(float(precision[index])) if area[index] else UNKNOWN,
                area_px=int(area[index]),
                area_m2=float(area[index] * self.pixel_area_m2),
                expected_tp_px=float(self._true[index]),
                expected_fp_px=float(area[index] - self._true[index]),
                estimated_precision=float(precision[index]),
                fp_share=float(false[index]),
                mean_error=float(mean[index]),
                max_error=float(self._largest[index]) if area[index] else math.nan,
                outline=self._layer.polygons[index],
            )
            for index in range(len(area))
        ]
        # Those that were not assessed come last, also after those that are surely right.
        polygons.sort(key=lambda each: (-each.expected_fp_px, each.area_px == 0, each.feature))
        return [replace(each, polygon=rank) for rank, each in enumerate(polygons, 1)]


def _largest_share(shared: Sequence[NDArray[np.int64]], numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Of each polygon (count,), the number of the object that it shares most pixels with, the lower of two alike; 0 without."""
    polygons, provisional, pixels = np.concatenate([np.zeros((3, 0), np.int64), *shared], axis=1)
    pairs, which = np.unique(np.stack([polygons, numbers[provisional - 1]]), axis=1, return_inverse=True)
    total = np.bincount(which.reshape(-1), pixels, minlength=pairs.shape[1])
    # From the least share to the largest, of which the last one stays.
    order = np.lexsort((-pairs[1], total))
    objects = np.zeros(count, np.int64)
    objects[pairs[0, order]] = pairs[1, order]
    return objects
