"""Error regions, which a reviewer looks at one after another.

Most outlines are off by a few pixels, and such rims touch, so that components of wrong pixels can span a town. A morphological
opening with a disc separates areas, where the disc fits, from rims; each wrong pixel lies in one component of either.
"""

import math

import numpy as np
from numpy.typing import NDArray

from segassess.errors import ConfigError
from segassess.findings.bands import JudgedRows
from segassess.findings.components import Components, summed_by_pair
from segassess.findings.table import FindingsTable, joined, ranked
from segassess.findings.waiting_rows import Settled, WaitingRows
from segassess.metrics.missed_objects import MIN_AREA, opened
from segassess.quality import CLASS_NAMES, FN, FP

AREA, RIM = "area", "rim"
# Pixels: radius of the disc.
RIM_PX = 3
# Bounds the rows kept in memory.
_LARGEST_RIM = 8


# `error`: rank, the worst is 1; `form`: "rim" where the disc fits nowhere; `object`: the object of the mask that an FP is part of
# (0 of an FN, or if the object is left out); `area_m2`: NaN if unknown; `expected_errors_px`: sum of P(error), ranks regions.
ERROR_COLUMNS = (
    "error", "quality", "form", "object", "area_px", "area_m2", "mean_error", "max_error", "expected_errors_px",
)  # fmt: skip


class ErrorRegions:
    """Gathers error regions from rows; memory grows with the number of regions, not of pixels.

    `rim_px` is the radius of the disc, at most 8 (ConfigError otherwise); 0 separates nothing. Regions of fewer than `min_area`
    pixels are left out.
    """

    def __init__(self, *, rim_px: int = RIM_PX, min_area: float = MIN_AREA, pixel_area_m2: float | None = None) -> None:
        if not 0 <= rim_px <= _LARGEST_RIM:
            raise ConfigError(f"output.rim_px must lie in [0, {_LARGEST_RIM}], not {rim_px}.")
        self.min_area = min_area
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._rim_px = rim_px
        # The opening of a row depends on twice its radius.
        self._rows = WaitingRows(2 * rim_px)
        self._regions = {(code, form): Components(min_area) for code in (FP, FN) for form in (AREA, RIM)}
        # By form: provisional numbers of an FP region and of its object in the mask.
        self._owners: dict[str, list[NDArray[np.int64]]] = {AREA: [], RIM: []}

    def add(self, rows: JudgedRows, objects: NDArray[np.int64]) -> None:
        """Take the next rows, and the provisional numbers (h, W) of the objects of the mask in them."""
        self._settle(self._rows.add(quality=rows.quality, error=np.where(np.isnan(rows.error), 0, rows.error), objects=objects))

    def _settle(self, found: Settled | None) -> None:
        """Label the rows that are settled."""
        if found is None:
            return
        kept, settled = found
        quality, error, objects = kept["quality"], kept["error"][settled], kept["objects"][settled]
        for code in (FP, FN):
            pixels = quality == code
            wide = opened(pixels, self._rim_px)
            for form, chosen in ((AREA, wide), (RIM, pixels & ~wide)):
                labels = self._regions[code, form].add(chosen[settled], error)
                inside = (labels > 0) & (objects > 0)
                if code == FP:
                    self._owners[form].append(np.stack(summed_by_pair(labels[inside], objects[inside], error[inside])[:2]))

    def finish(self, numbers: NDArray[np.int64]) -> FindingsTable:
        """All regions (`ERROR_COLUMNS`), ranked; no rows can follow.

        `numbers` are those of the objects of the mask by provisional number - 1; 0 for one that is left out.
        """
        self._settle(self._rows.finish())
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
        return ranked("error", joined(parts), "expected_errors_px")
