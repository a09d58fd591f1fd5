"""Objects with a verdict: the connected components of the mask, and missed objects.

`metrics.missed_objects` decides what a missed object is, `metrics.objects` which object other missing pixels are charged to.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.findings.array_store import ArrayStore, GrowingArray, Kept
from segassess.findings.bands import JudgedRows
from segassess.findings.components import Components, summed_by_pair
from segassess.findings.outlines import OutlineStore
from segassess.findings.table import FindingsTable, ranked
from segassess.findings.waiting_rows import Settled, WaitingRows
from segassess.metrics.missed_objects import MIN_AREA, REACH, are_missed, missed_cores
from segassess.metrics.objects import WRONG_IOU, nearest_objects
from segassess.quality import FN

# An object is right from this estimated IoU on, a strict match in object detection, and wrong below `WRONG_IOU`.
RIGHT_IOU = 0.75

RIGHT, PARTLY_WRONG, WRONG, MISSED = "right", "partly wrong", "wrong", "missed"


# `object`: number from 1 by first pixel, objects of the mask before missed ones; `area_m2`: NaN if unknown; `right`, `bottom`:
# exclusive; `x`, `y`: column and row of the centroid, 0 at the left and upper edge of the raster; `estimated_iou`: see
# `metrics.objects`, NaN of a missed object; `expected_errors_px`: false pixels in it and missing ones charged to it, of a missed
# object its own true ones; `expected_tp_px`: 0 of a missed object; `expected_fn_px`: missing pixels charged to it, of a missed
# object its own.
OBJECT_COLUMNS = (
    "object", "verdict", "area_px", "area_m2", "left", "top", "right", "bottom", "x", "y", "estimated_iou",
    "expected_errors_px", "expected_tp_px", "expected_fn_px", "mean_error", "max_error",
)  # fmt: skip


def verdicts(scores: NDArray[np.floating]) -> NDArray[Any]:
    """Verdicts, texts (N,), on the estimated IoU of objects, (N,) in [0, 1]."""
    return np.select([scores >= RIGHT_IOU, scores < WRONG_IOU], [RIGHT, WRONG], PARTLY_WRONG).astype(object)


class ObjectScores:
    """Gathers objects of at least `min_area` pixels from rows, in `arrays`."""

    def __init__(self, arrays: ArrayStore, *, min_area: float = MIN_AREA, pixel_area_m2: float | None = None) -> None:
        self.min_area = min_area
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._arrays = arrays
        self._outlines = OutlineStore(arrays)
        self._mask = Components(self._outlines, amounts=("true",))
        # Of components of cores: border pixels, and those beside the mask.
        self._cores = Components(self._outlines, MIN_AREA, amounts=("border", "contact"))
        # P(FN) in the territory of an object: provisional numbers of core component (0 for none) and object, and the sum.
        self._charges = GrowingArray(arrays), GrowingArray(arrays), GrowingArray(arrays, np.float64)
        # A territory depends on objects as far away as they reach.
        self._rows = WaitingRows(REACH)

    def add(self, rows: JudgedRows) -> NDArray[np.int64]:
        """Take the next rows; returns the provisional numbers (h, W) of the objects of the mask in them, 0 outside."""
        assessed = ~np.isnan(rows.error)
        mask = rows.mask & assessed
        error = np.where(assessed, rows.error, 0)
        objects = self._mask.add(mask, error, np.where(assessed, rows.true, 0))
        # Where nothing is assessed, nothing is missing.
        missing = np.where(assessed & ~mask, rows.missing, 0).astype(np.float64)
        self._settle(self._rows.add(objects=objects, called=rows.quality == FN, error=error, missing=missing))
        return objects

    def _settle(self, found: Settled | None) -> None:
        """Charge missing pixels in the rows that are settled."""
        if found is None:
            return
        kept, settled = found
        nearest: NDArray[np.int64] = nearest_objects(kept["objects"], REACH)[settled]
        cores, border, contact = (each[settled] for each in missed_cores(kept["called"], kept["objects"] > 0))
        lacking = self._cores.add(cores, kept["error"][settled], border, contact)
        missing = kept["missing"][settled]
        charged = (nearest > 0) & (missing > 0)
        pairs = summed_by_pair(lacking[charged], nearest[charged], missing[charged])
        for charges, values in zip(self._charges, pairs, strict=True):
            charges.append(values)

    def finish(self) -> tuple[FindingsTable, NDArray[np.int64]]:
        """Gather all objects; no rows can follow.

        Returns the objects (`OBJECT_COLUMNS`), most expected wrong pixels first, and their numbers by provisional number - 1, 0
        for one that is left out.
        """
        self._settle(self._rows.finish())
        mask, cores = self._mask.finish(), self._cores.finish()
        area, area_of_cores = np.asarray(mask["area_px"]), np.asarray(cores["area_px"])
        missed = are_missed(area_of_cores, np.asarray(cores["border"]), np.asarray(cores["contact"]))
        missing = np.zeros(len(area))
        for component, owner, amount in zip(*self._charges, strict=True):
            # A missed object is charged to no other.
            of_mask = component == 0
            of_mask[~of_mask] = ~missed[self._cores.number[component[~of_mask] - 1]]
            np.add.at(missing, self._mask.number[owner[of_mask] - 1], amount[of_mask])
        kept = np.flatnonzero(area >= self.min_area)
        kept_missed = np.flatnonzero(missed & (area_of_cores >= self.min_area))
        numbers = np.zeros(len(area), np.int64)
        numbers[kept] = np.arange(1, len(kept) + 1)
        parts = [
            self._columns({name: np.asarray(each)[kept] for name, each in mask.items()}, 1, missing[kept]),
            self._columns({name: np.asarray(each)[kept_missed] for name, each in cores.items()}, 1 + len(kept), None),
        ]
        columns, order = ranked("", parts, "expected_errors_px", "object", arrays=self._arrays)
        places = np.concatenate([self._mask.outlines(kept), self._cores.outlines(kept_missed)])
        return FindingsTable(columns, self._outlines.chosen(places[order])), numbers[self._mask.number]

    def _columns(self, found: dict[str, NDArray[Any]], first: int, missing: NDArray[np.float64] | None) -> dict[str, Kept]:
        """`OBJECT_COLUMNS` of components, numbered from `first`; `missing` are the pixels that they lack, None of missed ones."""
        area, error = found["area_px"], found["error"]
        count = len(area)
        if missing is None:
            scores = {
                "verdict": np.full(count, MISSED, object),
                "estimated_iou": np.full(count, math.nan),
                "expected_errors_px": error,
                "expected_tp_px": np.zeros(count),
                "expected_fn_px": error,
            }
        else:
            iou = found["true"] / (area + missing)
            scores = {
                "verdict": verdicts(iou),
                "estimated_iou": iou,
                "expected_errors_px": missing + area - found["true"],
                "expected_tp_px": found["true"],
                "expected_fn_px": missing,
            }
        others = {
            "object": np.arange(first, first + count),
            "area_m2": area * self.pixel_area_m2,
            "mean_error": error / area,
        }
        columns = found | scores | others
        return {name: self._arrays.keep(columns[name]) for name in OBJECT_COLUMNS}
