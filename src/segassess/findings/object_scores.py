"""Objects with a verdict, gathered from a quality map that comes by rows.

Objects are the connected components of the mask, and the missed ones. What is a missed object, and to which object what else is
missing is charged, `metrics.objects` decides.
"""

import math
from dataclasses import dataclass, field, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from segassess.findings.components import MeasuredComponents, Shape, joined, sums, unpack
from segassess.findings.judged_rows import JudgedRows
from segassess.metrics.objects import MIN_AREA, REACH, are_missed, missed_cores, nearest_objects
from segassess.quality import FN

# An object is right from this estimated IoU on, and wrong below the other: what the detection literature takes for a strict and
# for a loose match.
RIGHT_IOU = 0.75
WRONG_IOU = 0.5

RIGHT, PARTLY_WRONG, WRONG, MISSED = "right", "partly wrong", "wrong", "missed"


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """What is estimated of one object.

    Attributes:
        object: its number; first those of the mask, then the missed ones, each in the order of their first pixels.
        verdict: "right", "partly wrong" or "wrong" of an object of the mask; "missed" of one that the mask lacks.
        area_px: its pixels.
        area_m2: the same on the ground, NaN if that is unknown.
        left: first column.
        top: first row.
        right: last column + 1.
        bottom: last row + 1.
        x: column of its centroid; 0 is the left edge of the raster, so pixel 0 has its centre at 0.5.
        y: row of its centroid, likewise.
        estimated_iou: of an object of the mask, see `metrics.objects`; NaN of a missed one.
        expected_errors_px: expected wrong pixels: false ones in it and missing ones charged to it; true ones of a missed object.
        expected_tp_px: expected true pixels of it; 0 of a missed one.
        expected_fn_px: expected missing pixels charged to it; of a missed one its own.
        mean_error: mean P(error) of its own pixels, in [0, 1].
        max_error: the largest of them.
        packed_outline: see `outline`.
    """

    object: int
    verdict: str
    area_px: int
    area_m2: float
    left: int
    top: int
    right: int
    bottom: int
    x: float
    y: float
    estimated_iou: float
    expected_errors_px: float
    expected_tp_px: float
    expected_fn_px: float
    mean_error: float
    max_error: float
    packed_outline: bytes = field(repr=False)

    @property
    def outline(self) -> shapely.Geometry:
        """Polygon or multipolygon in pixel coordinates."""
        return unpack(self.packed_outline)


OBJECT_COLUMNS = tuple(each.name for each in fields(ObjectScore) if each.name != "packed_outline")


def verdict(estimated_iou: float) -> str:
    """What an estimated IoU in [0, 1] says of an object of the mask."""
    if estimated_iou >= RIGHT_IOU:
        return RIGHT
    return WRONG if estimated_iou < WRONG_IOU else PARTLY_WRONG


class ObjectSweep:
    """Gathers objects from rows; memory grows with their number and not with that of pixels.

    Args:
        min_area: smaller objects are left out, in pixels.
        pixel_area_m2: area of a pixel on the ground, or None.
    """

    def __init__(self, *, min_area: float = MIN_AREA, pixel_area_m2: float | None = None) -> None:
        self.min_area = min_area
        self.pixel_area_m2 = math.nan if pixel_area_m2 is None else pixel_area_m2
        self._mask, self._cores = MeasuredComponents(), MeasuredComponents(MIN_AREA)
        # Of components of cores: border pixels, and those beside the mask.
        self._border: list[NDArray[np.float64]] = []
        self._contact: list[NDArray[np.float64]] = []
        # P(FN) in the territory of an object: provisional numbers of core component (0 for none) and object, and the sum.
        self._charges: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        self._true: list[NDArray[np.float64]] = []
        # Rows whose territories are not settled: as far as an object of later rows could reach, and as far again to look back.
        self._kept: dict[str, NDArray[np.generic]] = {}
        self._unsettled = 0

    def add(self, rows: JudgedRows) -> NDArray[np.int64]:
        """Take the next rows; gives the provisional numbers (h, W) of the objects of the mask in them, 0 outside."""
        assessed = ~np.isnan(rows.error)
        mask = rows.mask & assessed
        error = np.where(assessed, rows.error, 0)
        first = self._mask.components.count
        objects = self._mask.add(mask, error)
        self._true.append(sums(objects, first, self._mask.components.count, np.where(assessed, rows.true, 0)))
        fresh = {
            "objects": objects,
            "called": rows.quality == FN,
            "error": error,
            # Where nothing is assessed, nothing is missing.
            "missing": np.where(assessed & ~mask, rows.missing, 0).astype(np.float64),
        }
        kept = {name: np.concatenate([self._kept[name], each]) if self._kept else each for name, each in fresh.items()}
        self._unsettled += len(rows)
        self._settle(kept, REACH)
        return objects

    def _settle(self, kept: dict[str, NDArray[np.generic]], ahead: int) -> None:
        """Charge what is missing in the unsettled rows but the last `ahead`."""
        self._kept = kept
        total = len(kept["objects"])
        start, stop = total - self._unsettled, total - ahead
        if stop <= start:
            return
        objects = kept["objects"].astype(np.int64)
        nearest: NDArray[np.int64] = nearest_objects(objects, REACH)[start:stop]
        settled = np.s_[start:stop]
        cores, border, contact = (each[settled] for each in missed_cores(kept["called"].astype(bool), objects > 0))
        first = self._cores.components.count
        lacking = self._cores.add(cores, kept["error"][settled].astype(np.float64))
        for counted, pixels in ((self._border, border), (self._contact, contact)):
            counted.append(sums(lacking, first, self._cores.components.count, pixels.astype(np.float64)))
        missing = kept["missing"][settled].astype(np.float64)
        charged = (nearest > 0) & (missing > 0)
        if charged.any():
            pairs, which = np.unique(np.stack([lacking[charged], nearest[charged]]), axis=1, return_inverse=True)
            amounts = np.bincount(which.reshape(-1), missing[charged]).astype(np.float64)
            self._charges.append((pairs[0], pairs[1], amounts))
        self._unsettled = total - stop
        back = max(0, stop - REACH)
        self._kept = {name: each[back:] for name, each in kept.items()}

    def finish(self) -> tuple[list[ObjectScore], NDArray[np.int64]]:
        """Gather all objects; no rows can be added any more.

        Returns:
            The objects, the one with the most expected wrong pixels first, and their numbers by provisional number - 1; 0 of one
            that is left out.
        """
        if self._kept:
            self._settle(self._kept, 0)
        mask, mask_errors, mask_largest = self._mask.finish()
        true = self._mask.components.total(joined(self._true))
        cores, core_errors, core_largest = self._cores.finish()
        border, contact = (self._cores.components.total(joined(each)) for each in (self._border, self._contact))
        missed = are_missed(cores.area, border, contact)
        missing = np.zeros(len(mask.area))
        for component, owner, amount in self._charges:
            # A missed object is charged to no other.
            of_mask = component == 0
            of_mask[~of_mask] = ~missed[self._cores.components.number[component[~of_mask] - 1]]
            np.add.at(missing, self._mask.components.number[owner[of_mask] - 1], amount[of_mask])
        iou = true / (mask.area + missing)
        kept_objects = np.flatnonzero(mask.area >= self.min_area)
        kept_missed = np.flatnonzero(missed & (cores.area >= self.min_area))
        outlines, core_outlines = self._mask.components.packed_outlines(), self._cores.components.packed_outlines()
        objects = []
        for number, index in enumerate(kept_objects, 1):
            wrong = missing[index] + mask.area[index] - true[index]
            scores = float(iou[index]), float(wrong), float(true[index]), float(missing[index])
            objects.append(self._object(number, verdict(iou[index]), mask, index, scores, mask_errors, mask_largest, outlines))
        for number, index in enumerate(kept_missed, len(objects) + 1):
            own = float(core_errors[index])
            scores = math.nan, own, 0.0, own
            objects.append(self._object(number, MISSED, cores, index, scores, core_errors, core_largest, core_outlines))
        numbers = np.zeros(len(mask.area), np.int64)
        numbers[kept_objects] = np.arange(1, len(kept_objects) + 1)
        objects.sort(key=lambda each: (-each.expected_errors_px, each.object))
        return objects, numbers[self._mask.components.number]

    def _object(
        self,
        number: int,
        kind: str,
        shape: Shape,
        index: np.signedinteger,
        scores: tuple[float, float, float, float],
        errors: NDArray[np.float64],
        largest: NDArray[np.float64],
        outlines: list[bytes],
    ) -> ObjectScore:
        area = int(shape.area[index])
        iou, wrong, true, missing = scores
        return ObjectScore(
            object=number,
            verdict=kind,
            area_px=area,
            area_m2=area * self.pixel_area_m2,
            left=int(shape.left[index]),
            top=int(shape.top[index]),
            right=int(shape.right[index]),
            bottom=int(shape.bottom[index]),
            x=float(shape.x[index]),
            y=float(shape.y[index]),
            estimated_iou=iou,
            expected_errors_px=wrong,
            expected_tp_px=true,
            expected_fn_px=missing,
            mean_error=float(errors[index] / area),
            max_error=float(largest[index]),
            packed_outline=outlines[index],
        )
