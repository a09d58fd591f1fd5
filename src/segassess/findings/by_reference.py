"""What a reference map adds to findings: how far each object is shifted, and outlines of missed objects.

A reference map says where objects are without having seen the mask there (`predict/fit`). An object of the mask that lies beside
one of the map is shifted, and a missed object has the shape that the map gives it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import cv2
import numpy as np
import rasterio.features
import shapely
import shapely.affinity
from affine import Affine
from numpy.typing import NDArray

from segassess.findings.findings import MISSED_COLUMNS, Findings, LayerShift
from segassess.findings.object_scores import MISSED
from segassess.findings.polygon_scores import UNKNOWN
from segassess.findings.table import FindingsTable
from segassess.metrics.missed_objects import CORE_PX, opened
from segassess.raster.vectors import burn

# Mask, bool (h, w), and reference map, float32 (h, w), NaN where unknown, of some rows and columns; asked from top to bottom.
ReadsReference: TypeAlias = Callable[[slice, slice], tuple[NDArray[np.bool_], NDArray[np.float32]]]

SHIFTED = "shifted"
# Largest offset that is searched, in metres, and in pixels where their size is unknown.
REACH_M, REACH_PX = 5.0, 24
# Width of the ring around an object that should be free, in pixels.
RING_PX = 10
# An object is called shifted if its place agrees better by so much, if so much agrees there, and from so many metres on.
GAIN, AGREEMENT, LEAST_M, LEAST_PX = 0.2, 0.25, 0.75, 4
# Objects with a longer side, such as a net of roads, have no single offset.
LARGEST_PX = 1024
# Around a missed object, the reference map is read so far, in pixels.
_MARGIN_PX = 24
# An outline reaches so many pixels beyond the missed object, and overlaps with another by at most this share of the smaller one.
_OWN_PX, _OVERLAP = 12.0, 0.2
# From this IoU with its rectangle on, an outline is a rectangle; others are simplified by so many pixels.
_RECTANGULAR, _SIMPLIFY_PX = 0.75, 2.0

# `shift_x_px`, `shift_y_px`: offset to the right and downwards at which the object agrees best with the reference map;
# `shift_x_m`, `shift_y_m`: the same in metres to the east and the north, NaN if the size of pixels is unknown; `shift_gain`: by
# how much it agrees better there, in [0, 2]. NaN of a missed object and of one that is too large.
SHIFT_COLUMNS = ("shift_x_px", "shift_y_px", "shift_x_m", "shift_y_m", "shift_gain")


def add_reference(
    findings: Findings, read: ReadsReference, size: tuple[int, int], ground: NDArray[np.float64] | None
) -> Findings:
    """Findings with `SHIFT_COLUMNS`, the verdict `shifted`, and outlines of missed objects.

    Args:
        findings: of a mask of a `size` (H, W).
        read: reads mask and reference map.
        size: rows and columns of the raster.
        ground: metres to the east and the north of one column and of one row, (2, 2); None if unknown.
    """
    search = _ShiftSearch(read, size, ground)
    of_mask = findings.objects.column("verdict") != MISSED
    objects, of_layer = search.table(findings.objects, of_mask)
    polygons = findings.polygons
    if len(polygons):
        polygons, of_layer = search.table(polygons, polygons.column("verdict") != UNKNOWN)
    missed = _missed(findings.objects, read, size, ground)
    return replace(findings, objects=objects, polygons=polygons, missed=missed, shift=of_layer)


def aligned(polygons: FindingsTable, shift: LayerShift) -> FindingsTable:
    """The polygons of a layer, moved as a whole to where they agree best."""
    outlines = shapely.transform(polygons.outlines(), lambda points: points + np.array([shift.x_px, shift.y_px]))
    return FindingsTable(polygons.columns, outlines)


class _ShiftSearch:
    """Finds offsets of outlines in a reference map."""

    def __init__(self, read: ReadsReference, size: tuple[int, int], ground: NDArray[np.float64] | None) -> None:
        self._read, self._size, self._ground = read, size, ground
        area = None if ground is None else abs(float(np.linalg.det(ground)))
        self._reach = REACH_PX if area is None else max(1, math.ceil(REACH_M / math.sqrt(area)))
        away = np.arange(-self._reach, self._reach + 1)
        self._within = np.hypot(away[:, None], away) <= self._reach
        self._least = LEAST_PX if area is None else LEAST_M / math.sqrt(area)

    def table(self, table: FindingsTable, wanted: NDArray[np.bool_]) -> tuple[FindingsTable, LayerShift | None]:
        """A table with the shifts of the `wanted` findings (N,), and that of all of them together; None without any."""
        shifts, gain, agreement = np.full((len(table), 2), np.nan), np.full(len(table), np.nan), np.zeros(len(table))
        side = 2 * self._reach + 1
        total, count = np.zeros((side, side)), 0
        for index, outline in _from_top_to_bottom(table, wanted):
            surface = self._surface(outline)
            if surface is None:
                continue
            best = np.unravel_index(int(np.where(self._within, surface, -np.inf).argmax()), surface.shape)
            shifts[index] = best[1] - self._reach, best[0] - self._reach
            agreement[index] = surface[best]
            gain[index] = surface[best] - surface[self._reach, self._reach]
            total += surface
            count += 1
        length = np.hypot(*shifts.T)
        # At the limit of the search it still agrees better further on, with something else.
        far = (length >= self._least) & (length < self._reach - 1)
        called = wanted & far & (gain >= GAIN) & (agreement >= AGREEMENT)
        verdict = np.where(called, SHIFTED, table.column("verdict")).astype(object)
        metres = np.full_like(shifts, np.nan) if self._ground is None else shifts @ self._ground
        values = (*shifts.T, *metres.T, gain)
        columns = {**table.columns, "verdict": verdict, **dict(zip(SHIFT_COLUMNS, values, strict=True))}
        return FindingsTable(columns, table.shapes), self._of_layer(total / count) if count else None

    def _surface(self, outline: shapely.Geometry) -> NDArray[np.float32] | None:
        """Agreement of an outline with the reference map at each offset, (2 r + 1, 2 r + 1); None where it cannot be said.

        Agreement is the mean of the map in the object minus that in the ring around it; what other objects of the mask
        cover counts as background.
        """
        height, width = self._size
        left, top, right, bottom = _box(outline, RING_PX)
        if right <= left or max(right - left, bottom - top) > LARGEST_PX:
            return None
        inside = burn(np.array([outline]), left, top, right, bottom)
        if not inside.any():
            return None
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING_PX + 1, 2 * RING_PX + 1))
        ring = (cv2.dilate(inside.astype(np.uint8), disc) > 0) & ~inside
        kernel = inside / inside.sum() - ring / max(ring.sum(), 1)
        reach = self._reach
        seen = np.zeros((bottom - top + 2 * reach, right - left + 2 * reach), np.float32)
        rows, columns = (
            slice(max(low - reach, 0), min(high + reach, length))
            for low, high, length in ((top, bottom, height), (left, right, width))
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        mask, reference = self._read(rows, columns)
        part = np.s_[
            rows.start - top + reach : rows.stop - top + reach, columns.start - left + reach : columns.stop - left + reach
        ]
        own = np.zeros(seen.shape, bool)
        own[reach:-reach, reach:-reach] = inside
        seen[part] = np.where(mask & ~own[part], 0, np.nan_to_num(reference))
        return np.asarray(cv2.matchTemplate(seen, kernel.astype(np.float32), cv2.TM_CCORR))

    def _of_layer(self, mean: NDArray[np.float64]) -> LayerShift:
        row, column = np.unravel_index(int(np.where(self._within, mean, -np.inf).argmax()), mean.shape)
        gain = float(mean[row, column] - mean[self._reach, self._reach])
        offset = np.array([column - self._reach, row - self._reach], float)
        metres = np.full(2, np.nan) if self._ground is None else offset @ self._ground
        (x, y), (east, north) = offset.tolist(), metres.tolist()
        return LayerShift(x, y, east, north, gain)


def _missed(
    objects: FindingsTable, read: ReadsReference, size: tuple[int, int], ground: NDArray[np.float64] | None
) -> FindingsTable:
    """Outlines of the missed objects (`MISSED_COLUMNS`), in the order of `objects`."""
    wanted = objects.column("verdict") == MISSED
    height, width = size
    found: dict[int, tuple[shapely.Geometry, float]] = {}
    for index, core in _from_top_to_bottom(objects, wanted):
        left, top, right, bottom = _box(core, _MARGIN_PX)
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        mask, reference = read(slice(top, bottom), slice(left, right))
        inside = burn(np.array([core]), left, top, right, bottom)
        # Without the gaps between objects of the mask, through which everything would be one.
        free = opened((reference >= 0.5) & ~mask & _near(inside), CORE_PX)
        _, labels = cv2.connectedComponents((free | inside).astype(np.uint8), connectivity=4)
        # A core may touch itself at corners only; the body of its largest part counts.
        body = labels == np.bincount(labels[inside]).argmax() if inside.any() else inside
        outline = _regular(body, left, top) if body.any() else core
        found[index] = outline, float(np.nanmean(reference[body])) if body.any() else math.nan
    order = _apart(sorted(found), {index: outline for index, (outline, _) in found.items()})  # as in the objects
    outlines = np.array([found[index][0] for index in order], object)
    area = shapely.area(outlines) if len(outlines) else np.zeros(0)
    values = (
        np.arange(1, len(order) + 1),
        objects.column("object")[order],
        area,
        area * (math.nan if ground is None else abs(float(np.linalg.det(ground)))),
        np.array([found[index][1] for index in order], float),
    )
    return FindingsTable(dict(zip(MISSED_COLUMNS, values, strict=True)), outlines)


def _near(core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels so near to a missed object that they may belong to it: what is much larger is something else."""
    return np.asarray(cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3) <= _OWN_PX)


def _apart(order: Sequence[int], outlines: Mapping[int, Any]) -> list[int]:
    """Those whose outlines hardly overlap with one that comes before: parts of one building would give it several."""
    shapes = [outlines[index] for index in order]
    tree, kept = shapely.STRtree(shapes), set[int]()
    for place, shape in enumerate(shapes):
        before = [shapes[other] for other in tree.query(shape) if other in kept]
        if all(shape.intersection(other).area <= _OVERLAP * min(shape.area, other.area) for other in before):
            kept.add(place)
    return [order[place] for place in sorted(kept)]


def _regular(body: NDArray[np.bool_], left: int, top: int) -> shapely.Geometry:
    """A simple outline of a connected body of pixels: a rectangle of its area if it is nearly one, else simplified."""
    shapes = rasterio.features.shapes(body.astype(np.uint8), body, connectivity=4, transform=Affine.translation(left, top))
    outline = max((shapely.Polygon(shape["coordinates"][0]) for shape, _ in shapes), key=shapely.area)
    rectangle = shapely.minimum_rotated_rectangle(outline)
    if rectangle.area > 0:
        side = math.sqrt(outline.area / rectangle.area)
        rectangle = shapely.affinity.scale(rectangle, side, side)
        common = rectangle.intersection(outline).area
        if common >= _RECTANGULAR * (rectangle.area + outline.area - common):
            return rectangle
    return shapely.simplify(outline, _SIMPLIFY_PX, preserve_topology=True)


def _from_top_to_bottom(table: FindingsTable, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, Any]]:
    """Index and outline of the wanted findings that have one, by their upper edge."""
    top = table.column("top") if "top" in table.columns else shapely.bounds(table.outlines())[:, 1]
    for index in np.argsort(top, kind="stable"):
        if wanted[index]:
            (outline,) = table.outlines(slice(index, index + 1))
            if not outline.is_empty:
                yield int(index), outline


def _box(outline: shapely.Geometry, margin: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of an outline's box with a margin, in whole pixels."""
    low_x, low_y, high_x, high_y = shapely.bounds(outline)
    return math.floor(low_x) - margin, math.floor(low_y) - margin, math.ceil(high_x) + margin, math.ceil(high_y) + margin
