"""What a reviewer acts on, gathered from a quality map that comes by rows: error regions, objects and polygons with a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from segassess.findings.bands import JudgedRows
from segassess.findings.error_regions import RIM_PX, ErrorRegions
from segassess.findings.object_scores import ObjectScores
from segassess.findings.polygon_scores import POLYGON_COLUMNS, PolygonScores
from segassess.findings.table import FindingsTable
from segassess.metrics.objects import MIN_AREA
from segassess.raster import VectorMask

_NO_POLYGONS = FindingsTable({name: np.zeros(0) for name in POLYGON_COLUMNS}, np.zeros(0, object))


@dataclass(frozen=True)
class Findings:
    """What was found in one mask, what has the most expected wrong pixels first.

    Attributes:
        errors: error regions (`ERROR_COLUMNS`).
        objects: of the mask, and missed ones (`OBJECT_COLUMNS`).
        polygons: of the layer that the mask is (`POLYGON_COLUMNS`); none of a raster.
    """

    errors: FindingsTable
    objects: FindingsTable
    polygons: FindingsTable = _NO_POLYGONS


def gather_findings(
    rows: Iterable[JudgedRows],
    *,
    rim_px: int = RIM_PX,
    min_area: float = MIN_AREA,
    pixel_area_m2: float | None = None,
    layer: VectorMask | None = None,
) -> Findings:
    """Gather findings; memory grows with the number of what is found and not with that of pixels.

    Args:
        rows: of the mask, from top to bottom.
        rim_px: see `ErrorRegions`.
        min_area: smaller errors and objects are left out, in pixels.
        pixel_area_m2: area of a pixel on the ground, or None.
        layer: whose polygons are scored, all of them; None of a raster.

    Raises:
        ConfigError: if the radius is not allowed.
    """
    objects = ObjectScores(min_area=min_area, pixel_area_m2=pixel_area_m2)
    errors = ErrorRegions(rim_px=rim_px, min_area=min_area, pixel_area_m2=pixel_area_m2)
    polygons = None if layer is None else PolygonScores(layer, pixel_area_m2=pixel_area_m2)
    for each in rows:
        numbers = objects.add(each)
        errors.add(each, numbers)
        if polygons is not None:
            polygons.add(each, numbers)
    of_mask, final = objects.finish()
    return Findings(errors.finish(final), of_mask, _NO_POLYGONS if polygons is None else polygons.finish(final))
