"""Error regions, which a reviewer looks at one after another.

Most outlines are off by a few pixels, and such rims touch, so that components of wrong pixels can span a town. A morphological
opening with a disc separates areas, where the disc fits, from rims; each wrong pixel lies in one component of either.
"""

import math

import numpy as np
from numpy.typing import NDArray

from segassess.errors import ConfigError
from segassess.findings.array_store import ArrayStore, GrowingArray
from segassess.findings.bands import JudgedRows
from segassess.findings.components import Components, summed_by_pair
from segassess.findings.outlines import OutlineStore
from segassess.findings.table import FindingsTable, ranked
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
    """Gathers error regions from rows, in `arrays`.

    `rim_px` is the radius of the disc, at most 8 (ConfigError otherwise); 0 separates nothing. Regions of fewer than `min_area`
    pixels are left out.
    """

    def __init__(
        self, arrays: ArrayStore, *, rim_px: int = RIM_PX, min_area: float = MIN_AREA, pixel_area_m2: float | None = None
    ) -> None:
        if not 0 <= rim_px <= _LARGEST_RIM:
            raise ConfigError(f"output.rim_px must lie in [0, {_LARGEST_RIM}], not {rim_px}.")
        self.min_area = min_area
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._rim_px = rim_px
        # The opening of a row depends on twice its radius.
        self._rows = WaitingRows(2 * rim_px)
        self._arrays = arrays
        self._outlines = OutlineStore(arrays)
        self._regions = {(code, form): Components(self._outlines, min_area) for code in (FP, FN) for form in (AREA, RIM)}
        # By form: provisional numbers of an FP region and of its object in the mask.
        self._owners = {form: (GrowingArray(arrays), GrowingArray(arrays)) for form in (AREA, RIM)}

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
                    pairs = summed_by_pair(labels[inside], objects[inside], error[inside])[:2]
                    for owners, numbers in zip(self._owners[form], pairs, strict=True):
                        owners.append(numbers)

    def finish(self, numbers: NDArray[np.int64]) -> FindingsTable:
        """All regions (`ERROR_COLUMNS`), ranked; no rows can follow.

        `numbers` are those of the objects of the mask by provisional number - 1; 0 for one that is left out.
        """
        self._settle(self._rows.finish())
        parts, places = [], []
        for (code, form), components in self._regions.items():
            found = components.finish()
            all_pixels = np.asarray(found["area_px"])
            owner = np.zeros(len(all_pixels), np.int64)
            for region, of_mask in zip(*self._owners[form], strict=True) if code == FP else ():
                owner[components.number[region - 1]] = numbers[of_mask - 1]
            kept = np.flatnonzero(all_pixels >= self.min_area)
            area, errors = all_pixels[kept], np.asarray(found["error"])[kept]
            columns = {
                "quality": np.full(len(kept), CLASS_NAMES[code], object),
                "form": np.full(len(kept), form, object),
                "object": owner[kept],
                "area_px": area,
                "area_m2": area * self.pixel_area_m2,
                "mean_error": errors / area,
                "max_error": np.asarray(found["max_error"])[kept],
                "expected_errors_px": errors,
            }
            parts.append({name: self._arrays.keep(values) for name, values in columns.items()})
            places.append(components.outlines(kept))
        columns, order = ranked("error", parts, "expected_errors_px", arrays=self._arrays)
        return FindingsTable(columns, self._outlines.chosen(np.concatenate(places)[order]))
