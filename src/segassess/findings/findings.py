"""Findings of one mask, gathered row by row: error regions, objects, and polygons with a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from segassess.findings.array_store import ArrayStore
from segassess.findings.bands import JudgedRows
from segassess.findings.error_regions import RIM_PX, ErrorRegions
from segassess.findings.object_scores import ObjectScores
from segassess.findings.polygon_scores import POLYGON_COLUMNS, PolygonScores
from segassess.findings.table import FindingsTable
from segassess.metrics.missed_objects import MIN_AREA
from segassess.raster import VectorMask

# `missed`: rank; `object`: its number in the objects; `probability`: mean of the reference map inside.
MISSED_COLUMNS = ("missed", "object", "area_px", "area_m2", "probability")

# From which gain, and how many pixels, on a whole layer is shifted.
LAYER_GAIN, LAYER_LEAST_PX = 0.02, 3

_NO_POLYGONS = FindingsTable({name: np.zeros(0) for name in POLYGON_COLUMNS}, np.zeros(0, object))


@dataclass(frozen=True)
class LayerShift:
    """The offset, to the right and downwards, at which a whole layer agrees best with the reference map."""

    x_px: float
    y_px: float
    x_m: float  # to the east, NaN if the size of pixels is unknown
    y_m: float  # to the north
    gain: float  # by how much its objects agree better there, on average

    @property
    def is_clear(self) -> bool:
        """Whether the layer lies elsewhere, and not only some of its objects."""
        return self.gain >= LAYER_GAIN and max(abs(self.x_px), abs(self.y_px)) >= LAYER_LEAST_PX


@dataclass(frozen=True)
class Findings:
    """Findings of one mask, each kind with the most expected wrong pixels first."""

    errors: FindingsTable  # `ERROR_COLUMNS`
    objects: FindingsTable  # `OBJECT_COLUMNS`: those of the mask, and missed ones
    polygons: FindingsTable = _NO_POLYGONS  # `POLYGON_COLUMNS`; none of a raster mask
    # With a reference map, see `by_reference`; objects and polygons have its columns too.
    missed: FindingsTable | None = None  # `MISSED_COLUMNS`: outlines of the missed objects
    shift: LayerShift | None = None  # of the whole layer; also None of an empty one


def gather_findings(
    rows: Iterable[JudgedRows],
    *,
    rim_px: int = RIM_PX,
    min_area: float = MIN_AREA,
    pixel_area_m2: float | None = None,
    layer: VectorMask | None = None,
    arrays: ArrayStore | None = None,
) -> Findings:
    """Gather findings from rows, top to bottom, in `arrays`, or in memory where these are None.

    `layer` is the mask if it was given as polygons, all of which are scored. Errors and objects of fewer than `min_area` pixels
    are left out. `ErrorRegions` explains `rim_px` and raises ConfigError if it is out of range.
    """
    arrays = arrays or ArrayStore()
    objects = ObjectScores(arrays, min_area=min_area, pixel_area_m2=pixel_area_m2)
    errors = ErrorRegions(arrays, rim_px=rim_px, min_area=min_area, pixel_area_m2=pixel_area_m2)
    polygons = None if layer is None else PolygonScores(layer, arrays, pixel_area_m2=pixel_area_m2)
    for each in rows:
        numbers = objects.add(each)
        errors.add(each, numbers)
        if polygons is not None:
            polygons.add(each, numbers)
    of_mask, final = objects.finish()
    return Findings(errors.finish(final), of_mask, _NO_POLYGONS if polygons is None else polygons.finish(final))
