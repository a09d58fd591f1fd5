"""A verdict on each polygon of a layer that is judged as a mask.

In the mask, polygons that touch are one object. Here each is rasterised by itself, so that a pixel in an overlap counts for all
of them. Missing pixels around a polygon are charged to its object.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segassess.findings.array_store import ArrayStore, GrowingArray
from segassess.findings.bands import JudgedRows
from segassess.findings.components import summed_by_pair
from segassess.findings.object_scores import verdicts
from segassess.findings.table import FindingsTable, ranked
from segassess.quality import FP
from segassess.raster import VectorMask

# Of a polygon without a pixel that was assessed.
UNKNOWN = "not assessed"


# `polygon`: rank, the worst is 1; `feature`: id in the layer, as GDAL gives it; `object`: the object of the mask that most of its
# pixels are part of (0 if that is left out, or without pixels); `verdict`: by `estimated_precision`, see
# `object_scores.verdicts`; `area_px`: assessed pixels with their centres inside; `area_m2`: NaN if unknown; `expected_fp_px`
# ranks polygons; `fp_share`: share of pixels that the quality map calls FP. The last four lie in [0, 1] and are NaN without
# pixels.
POLYGON_COLUMNS = (
    "polygon", "feature", "object", "verdict", "area_px", "area_m2", "expected_tp_px", "expected_fp_px",
    "estimated_precision", "fp_share", "mean_error", "max_error",
)  # fmt: skip


class PolygonScores:
    """Gathers scores of a layer's polygons, on the grid of the rows, in `arrays`; the layer is in memory anyway."""

    def __init__(self, layer: VectorMask, arrays: ArrayStore, *, pixel_area_m2: float | None = None) -> None:
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._layer, self._arrays = layer, arrays
        self._top = 0
        count = len(layer.polygons)
        self._area, self._false = np.zeros((2, count), np.int64)
        self._true, self._errors, self._largest = np.zeros((3, count))
        # Polygon, provisional number of an object of the mask, and how many pixels they share.
        self._shared = GrowingArray(arrays), GrowingArray(arrays), GrowingArray(arrays)

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
        for grown, values in zip(self._shared, np.concatenate(shared, axis=1), strict=True):
            grown.append(values)
        self._top += len(rows)

    def finish(self, numbers: NDArray[np.int64]) -> FindingsTable:
        """All polygons (`POLYGON_COLUMNS`), most expected false pixels first; see `ErrorRegions.finish` for `numbers`."""
        area = self._area
        with np.errstate(invalid="ignore"):
            precision, false, mean = self._true / area, self._false / area, self._errors / area
        columns = {
            "feature": self._layer.features,
            "object": _largest_share(self._shared, numbers, len(area)),
            "verdict": np.where(area > 0, verdicts(precision), UNKNOWN),
            "area_px": area,
            "area_m2": area * self.pixel_area_m2,
            "expected_tp_px": self._true,
            "expected_fp_px": area - self._true,
            "estimated_precision": precision,
            "fp_share": false,
            "mean_error": mean,
            "max_error": np.where(area > 0, self._largest, math.nan),
            "unassessed": area == 0,
        }
        # Polygons that were not assessed come last.
        keys = "expected_fp_px", "unassessed", "feature"
        found, order = ranked("polygon", [columns], *keys, arrays=self._arrays)
        return FindingsTable({name: found[name] for name in POLYGON_COLUMNS}, self._layer.polygons[order])


def _largest_share(shared: Sequence[GrowingArray], numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The number of the object that each polygon (count,) shares most pixels with, the lower one of two alike; 0 if none."""
    polygons, provisional, pixels = (each.whole() for each in shared)
    several, of_several, total = summed_by_pair(polygons, numbers[provisional - 1], pixels)
    # From the smallest share to the largest: the last assignment stays.
    order = np.lexsort((-of_several, total))
    objects = np.zeros(count, np.int64)
    objects[several[order]] = of_several[order]
    return objects
