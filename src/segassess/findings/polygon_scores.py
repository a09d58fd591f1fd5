"""A verdict on each polygon of a layer that is judged as a mask, gathered from a quality map that comes by rows.

The mask has lost which polygon a pixel is of: polygons that touch are one object in it. Here each is rasterised by itself, so
that a pixel in which polygons overlap counts for all of them. What is missing around a polygon is charged to the object that it
is part of.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segassess.findings.bands import JudgedRows
from segassess.findings.object_scores import verdicts
from segassess.findings.table import FindingsTable, ranked
from segassess.quality import FP
from segassess.raster import VectorMask

# Of a polygon without a pixel that was assessed.
UNKNOWN = "not assessed"


# Of each polygon: its rank, the worst first; the id of its feature in the layer, as GDAL gives it; the number of the object of
# the mask that most of its pixels are part of (0 if that is left out, or it has no pixels); "right", "partly wrong" or "wrong" by
# its estimated precision, see `object_scores.verdicts`, or "not assessed"; its pixels that were assessed, which are those of the
# image with their centres in it that are not nodata, and the same on the ground (NaN if that is unknown); expected true and false
# pixels of it, by the latter of which polygons are ranked; NaN without pixels: the expected share of it that is true, the share
# of its pixels that the quality map calls FP, and mean and largest P(error) of its pixels, all in [0, 1].
POLYGON_COLUMNS = (
    "polygon", "feature", "object", "verdict", "area_px", "area_m2", "expected_tp_px", "expected_fp_px",
    "estimated_precision", "fp_share", "mean_error", "max_error",
)  # fmt: skip


class PolygonScores:
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

    def finish(self, numbers: NDArray[np.int64]) -> FindingsTable:
        """Gather all polygons (`POLYGON_COLUMNS`), the most expected false pixels first; no rows can be added any more.

        Args:
            numbers: of the objects of the mask by provisional number - 1; 0 of one that is left out.
        """
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
        # Those that were not assessed come last, also after those that are surely right.
        table = ranked("polygon", [(columns, list(self._layer.polygons))], "expected_fp_px", "unassessed", "feature")
        return FindingsTable({name: table.columns[name] for name in POLYGON_COLUMNS}, table.shapes)


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
