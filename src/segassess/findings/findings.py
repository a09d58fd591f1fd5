"""What a reviewer acts on, gathered from a quality map that comes by rows: error regions, objects and polygons with a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from segassess.findings.error_regions import RIM_PX, ErrorRegion, ErrorSweep
from segassess.findings.judged_rows import JudgedRows
from segassess.findings.object_scores import ObjectScore, ObjectSweep
from segassess.findings.polygon_scores import PolygonScore, PolygonSweep
from segassess.metrics.objects import MIN_AREA
from segassess.raster import VectorMask


@dataclass(frozen=True)
class Findings:
    """What was found in one mask, what has the most expected wrong pixels first.

    Attributes:
        errors: error regions.
        objects: of the mask, and missed ones.
        polygons: of the layer that the mask is; none of a raster.
    """

    errors: list[ErrorRegion]
    objects: list[ObjectScore]
    polygons: Sequence[PolygonScore] = ()


class FindingsSweep:
    """Gathers `Findings` from rows; memory grows with the number of what is found and not with that of pixels.

    Args:
        rim_px: see `ErrorSweep`.
        min_area: smaller errors and objects are left out, in pixels.
        pixel_area_m2: area of a pixel on the ground, or None.
        layer: whose polygons are scored, all of them; None of a raster.
    """

    def __init__(
        self,
        *,
        rim_px: int = RIM_PX,
        min_area: float = MIN_AREA,
        pixel_area_m2: float | None = None,
        layer: VectorMask | None = None,
    ) -> None:
        self._objects = ObjectSweep(min_area=min_area, pixel_area_m2=pixel_area_m2)
        self._errors = ErrorSweep(rim_px=rim_px, min_area=min_area, pixel_area_m2=pixel_area_m2)
        self._polygons = None if layer is None else PolygonSweep(layer, pixel_area_m2=pixel_area_m2)

    def add(self, rows: JudgedRows) -> None:
        """Take the next rows."""
        objects = self._objects.add(rows)
        self._errors.add(rows, objects)
        if self._polygons is not None:
            self._polygons.add(rows, objects)

    def finish(self) -> Findings:
        """Gather all; no rows can be added any more."""
        objects, numbers = self._objects.finish()
        polygons = [] if self._polygons is None else self._polygons.finish(numbers)
        return Findings(self._errors.finish(numbers), objects, polygons)
