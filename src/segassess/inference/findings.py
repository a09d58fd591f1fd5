"""What a reviewer acts on, gathered from a quality map that comes by rows: error regions, and objects with a verdict."""

from dataclasses import dataclass

from segassess.inference.error_regions import RIM_PX, ErrorRegion, ErrorSweep
from segassess.inference.judged_rows import JudgedRows
from segassess.inference.object_scores import ObjectScore, ObjectSweep
from segassess.metrics.objects import MIN_AREA


@dataclass(frozen=True)
class Findings:
    """What was found in one mask: errors, the one with the most expected wrong pixels first, and objects likewise."""

    errors: list[ErrorRegion]
    objects: list[ObjectScore]


class FindingsSweep:
    """Gathers `Findings` from rows; memory grows with the number of errors and objects and not with the number of pixels.

    Args:
        rim_px: see `ErrorSweep`.
        min_area: smaller errors and objects are left out, in pixels.
        pixel_area_m2: area of a pixel on the ground, or None.
    """

    def __init__(self, *, rim_px: int = RIM_PX, min_area: float = MIN_AREA, pixel_area_m2: float | None = None) -> None:
        self._objects = ObjectSweep(min_area=min_area, pixel_area_m2=pixel_area_m2)
        self._errors = ErrorSweep(rim_px=rim_px, min_area=min_area, pixel_area_m2=pixel_area_m2)

    def add(self, rows: JudgedRows) -> None:
        """Take the next rows."""
        self._errors.add(rows, self._objects.add(rows))

    def finish(self) -> Findings:
        """Gather all; no rows can be added any more."""
        objects, numbers = self._objects.finish()
        return Findings(self._errors.finish(numbers), objects)
