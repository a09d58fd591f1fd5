"""Error regions: what a reviewer looks at one after another.

Seen closely, most outlines of a mask are wrong by a few pixels, and such rims touch one another, so that connected components of
wrong pixels can span a town. A morphological opening with a disc takes them apart: what the disc fits into are areas, the narrow
rest is rims. Regions are the connected components of either; every wrong pixel lies in exactly one.
"""

import math

import numpy as np
from numpy.typing import NDArray

from segassess.errors import ConfigError
from segassess.findings.bands import JudgedRows
from segassess.findings.components import Components
from segassess.findings.table import FindingsTable, ranked
from segassess.metrics.objects import MIN_AREA, opened
from segassess.quality import CLASS_NAMES, FN, FP

AREA, RIM = "area", "rim"
# Pixels: radius of the disc.
RIM_PX = 3
# Rows that are looked back and ahead for are kept in memory.
_LARGEST_RIM = 8


# Of each region: its rank, the worst first; "FP" or "FN"; "area", or "rim" of what is nowhere as wide as the disc; of an FP, the
# number of the object of the mask that it is part of (0 of an FN, or if that is left out); its pixels, and the same on the ground
# (NaN if that is unknown); mean and largest P(error) of its pixels, in [0, 1]; and the sum of it, by which regions are ranked.
ERROR_COLUMNS = (
    "error", "quality", "form", "object", "area_px", "area_m2", "mean_error", "max_error", "expected_errors_px",
)  # fmt: skip


class ErrorRegions:
    """Gathers error regions from rows; memory grows with their number and not with that of pixels.

    Args:
        rim_px: radius of the disc in pixels, at most 8; 0 takes nothing apart.
        min_area: smaller regions are left out, in pixels.
        pixel_area_m2: area of a pixel on the ground, or None.

    Raises:
        ConfigError: if the radius is not allowed.
    """

    def __init__(self, *, rim_px: int = RIM_PX, min_area: float = MIN_AREA, pixel_area_m2: float | None = None) -> None:
        if not 0 <= rim_px <= _LARGEST_RIM:
            raise ConfigError(f"output.rim_px must lie in [0, {_LARGEST_RIM}], not {rim_px}.")
        self.min_area = min_area
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._rim_px = rim_px
        self._regions = {(code, form): Components(min_area) for code in (FP, FN) for form in (AREA, RIM)}
        # By form: provisional numbers of an FP region and of the object of the mask that it lies in.
        self._owners: dict[str, list[NDArray[np.int64]]] = {AREA: [], RIM: []}
        # Rows that an opening still needs: quality, P(error), provisional numbers of objects.
        self._kept: tuple[NDArray[np.uint8], NDArray[np.floating], NDArray[np.int64]] | None = None
        self._unsettled = 0

    def add(self, rows: JudgedRows, objects: NDArray[np.int64]) -> None:
        """Take the next rows, and the provisional numbers (h, W) of the objects of the mask in them."""
        quality, error = rows.quality, np.nan_to_num(rows.error)
        if self._kept is not None:
            quality, error, objects = (
                np.concatenate([self._kept[0], quality]),
                np.concatenate([self._kept[1], error]),
                np.concatenate([self._kept[2], objects]),
            )
        self._kept = quality, error, objects
        self._unsettled += len(rows)
        self._settle(2 * self._rim_px)

    def _settle(self, ahead: int) -> None:
        """Label the unsettled rows but the last `ahead`: the opening of a row depends on as many rows around it."""
        if self._kept is None:
            return
        quality, error, objects = self._kept
        start, stop = len(quality) - self._unsettled, len(quality) - ahead
        if stop <= start:
            return
        for code in (FP, FN):
            pixels = quality == code
            wide = opened(pixels, self._rim_px)
            for form, chosen in ((AREA, wide), (RIM, pixels & ~wide)):
                labels = self._regions[code, form].add(chosen[start:stop], error[start:stop])
                inside = (labels > 0) & (objects[start:stop] > 0)
                if code == FP and inside.any():
                    self._owners[form].append(np.unique(np.stack([labels[inside], objects[start:stop][inside]]), axis=1))
        self._unsettled = len(quality) - stop
        back = max(0, stop - 2 * self._rim_px)
        self._kept = quality[back:], error[back:], objects[back:]

    def finish(self, numbers: NDArray[np.int64]) -> FindingsTable:
        """Gather all regions (`ERROR_COLUMNS`), the most expected wrong pixels first; no rows can be added any more.

        Args:
            numbers: of the objects of the mask by provisional number - 1; 0 of one that is left out.
        """
        self._settle(0)
        parts = []
        for (code, form), components in self._regions.items():
            found = components.finish()
            owner = np.zeros(len(found["area_px"]), np.int64)
            for region, of_mask in self._owners[form] if code == FP else ():
                owner[components.number[region - 1]] = numbers[of_mask - 1]
            kept = np.flatnonzero(found["area_px"] >= self.min_area)
            area, errors = found["area_px"][kept], found["error"][kept]
            columns = {
                "quality": np.full(len(kept), CLASS_NAMES[code], object),
                "form": np.full(len(kept), form, object),
                "object": owner[kept],
                "area_px": area,
                "area_m2": area * self.pixel_area_m2,
                "mean_error": errors / area,
                "max_error": found["max_error"][kept],
                "expected_errors_px": errors,
            }
            parts.append((columns, components.packed_outlines(kept)))
        return ranked("error", parts, "expected_errors_px")
