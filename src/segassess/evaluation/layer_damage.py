"""Damage a layer of polygons in a known way, and say how much of it error polygons find."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray

from segassess.errors import RequestError
from segassess.quality import CLASS_NAMES, FN, FP, NOT_ASSESSED

REMOVED, SHIFTED, INVENTED = "removed", "shifted", "invented"
KINDS = (REMOVED, SHIFTED, INVENTED)
# What happened to the other polygons.
KEPT = "kept"
# Kind of the polygons of the emptied square.
EMPTIED = "emptied"
# Largest share of polygons removed or shifted, so that enough stay right.
MOST_DAMAGED = 0.5
# An offset is found if it is wrong by at most so many metres.
OFFSET_M = 1.0
# Share of its area from which a piece of damage is found, or an error polygon right.
COVERED = 0.5
# Places tried for an invented polygon before it is left out.
_TRIES = 200


@dataclass(frozen=True)
class DamagedLayer:
    """A damaged layer and its damage; geometries are in pixel coordinates of the image.

    Attributes:
        polygons: the layer after the damage.
        kinds: of each piece of damage, one of `KINDS` or `EMPTIED`.
        missing: false negatives of each piece; empty for an invented polygon.
        false: false positives of each piece; empty for a removed polygon.
        done: to each polygon (N,): `KEPT`, `SHIFTED` or `INVENTED`.
        back: offset (N, 2), to the right and downwards, that brings each polygon back to its place; 0 for those not shifted.
    """

    polygons: NDArray[Any]
    kinds: list[str]
    missing: NDArray[Any]
    false: NDArray[Any]
    done: NDArray[Any]
    back: NDArray[np.float64]


@dataclass(frozen=True)
class ShiftsFound:
    """What was found of the polygons that were shifted, and which others are called shifted."""

    shifted: int
    called: int  # of the shifted polygons, those called so
    near: int  # of the shifted polygons, those whose offset is found to `OFFSET_M`
    others: int
    others_called: int


def damage_layer(
    polygons: NDArray[Any],
    size: tuple[int, int],
    counts: Mapping[str, int],
    shift_px: tuple[float, float],
    rng: np.random.Generator,
    emptied_px: float = 0,
) -> DamagedLayer:
    """Remove all polygons centred in a square of side `emptied_px` mid-image; outside it remove, shift and invent some.

    Polygons (N,) and all distances are in pixels of the image of `size` (H, W); only polygons within the image are damaged.
    What another polygon covers is neither missing nor false. `counts` are maxima by kind: small layers get fewer
    (`fitting_counts`), and no more polygons are invented than fit. Raises RequestError if no polygon lies within the image and
    outside the square.
    """
    height, width = size
    frame = shapely.box(0, 0, width, height)
    polygons = shapely.make_valid(polygons)
    half = emptied_px / 2
    square = shapely.box(width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    within = shapely.contains_properly(frame, polygons)
    in_square = shapely.contains_properly(square, shapely.centroid(polygons))
    emptied, inside = np.flatnonzero(within & in_square), np.flatnonzero(within & ~in_square)
    if not len(inside):
        where = "fully within the image" + (" and outside the emptied square" if len(emptied) else "")
        raise RequestError(f"The layer has no polygon that lies {where}, so there is nothing to damage.")
    counts = fitting_counts(counts, len(inside))
    chosen = rng.permutation(inside)[: counts[REMOVED] + counts[SHIFTED]]
    removed, shifted = chosen[: counts[REMOVED]], chosen[counts[REMOVED] :]
    offsets = np.array([_offset(shift_px, rng) for _ in shifted]).reshape(-1, 2)
    moved = np.array(
        [shapely.affinity.translate(polygons[index], *offset) for index, offset in zip(shifted, offsets, strict=True)], object
    )
    kept = np.delete(polygons, np.concatenate([chosen, emptied]))
    invented = _invented(polygons, inside, size, counts[INVENTED], rng)
    damaged = np.concatenate([kept, moved, invented])
    before, after = shapely.STRtree(polygons), shapely.STRtree(damaged)
    nothing = shapely.Polygon()
    missing, false, kinds = [], [], []
    for kind, old, new in (
        *((EMPTIED, polygons[index], nothing) for index in emptied),
        *((REMOVED, polygons[index], nothing) for index in removed),
        *((SHIFTED, polygons[index], piece) for index, piece in zip(shifted, moved, strict=True)),
        *((INVENTED, nothing, piece) for piece in invented),
    ):
        kinds.append(kind)
        missing.append(_without(old, damaged, after))
        false.append(_without(new, polygons, before))
    back = np.concatenate([np.zeros((len(kept), 2)), -offsets, np.zeros((len(invented), 2))])
    done = np.array([KEPT] * len(kept) + [SHIFTED] * len(moved) + [INVENTED] * len(invented), object)
    return DamagedLayer(damaged, kinds, np.array(missing, object), np.array(false, object), done, back)


def fitting_counts(counts: Mapping[str, int], polygons: int) -> dict[str, int]:
    """Reduce too large numbers in proportion, for a layer with this many polygons within the image."""
    wanted, most = counts[REMOVED] + counts[SHIFTED], max(1, int(polygons * MOST_DAMAGED))
    if wanted <= most:
        return dict(counts)
    removed = math.floor(most * counts[REMOVED] / wanted + 0.5)
    return {REMOVED: removed, SHIFTED: most - removed, INVENTED: math.ceil(most * counts[INVENTED] / wanted)}


def _offset(shift_px: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    distance, angle = rng.uniform(*shift_px), rng.uniform(0, 2 * math.pi)
    return distance * math.cos(angle), distance * math.sin(angle)


def _invented(
    polygons: NDArray[Any], inside: NDArray[np.intp], size: tuple[int, int], count: int, rng: np.random.Generator
) -> NDArray[Any]:
    """Rotated copies in free places that do not touch one another, as many as fit."""
    height, width = size
    frame = shapely.box(0, 0, width, height)
    tree = shapely.STRtree(polygons)
    result = np.empty(count, object)
    for number in range(count):
        for _ in range(_TRIES):
            pattern = shapely.affinity.rotate(polygons[rng.choice(inside)], rng.uniform(0, 360))
            centre = shapely.centroid(pattern)
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            copy = shapely.affinity.translate(pattern, x - shapely.get_x(centre), y - shapely.get_y(centre))
            taken = len(tree.query(copy, predicate="intersects")) or shapely.intersects(copy, result[:number]).any()
            if not taken and shapely.contains(frame, copy):
                result[number] = copy
                break
        else:
            return result[:number]
    return result


def _without(polygon: shapely.Geometry, others: NDArray[Any], tree: shapely.STRtree) -> shapely.Geometry:
    if shapely.is_empty(polygon):
        return polygon
    return shapely.difference(polygon, shapely.union_all(others[tree.query(polygon)]))


def damage_found(kinds: Sequence[str], damage: NDArray[Any], errors: NDArray[Any]) -> dict[str, dict[str, float]]:
    """`pieces`, `found` (covered by error polygons by at least a half) and `recall` in [0, 1], by kind of damage.

    `kinds` and `damage`, (N,) shapely geometries, describe the pieces of one class of error, `errors` (M,) are its polygons.
    Empty pieces do not count.
    """
    covered = _covered(damage, errors)
    result = {}
    for kind in dict.fromkeys(kinds):
        of_kind = np.array([each == kind for each in kinds]) & (shapely.area(damage) > 0)
        if of_kind.any():
            found = int((covered[of_kind] >= COVERED).sum())
            result[kind] = {"pieces": int(of_kind.sum()), "found": found, "recall": found / int(of_kind.sum())}
    return result


def shifts_found(
    back: NDArray[np.float64], offsets: NDArray[np.float64], called: NDArray[np.bool_], pixel_m: float
) -> ShiftsFound:
    """Compare the offsets (N, 2) in pixels that bring polygons back with those that were found, NaN where none was."""
    shifted = (back != 0).any(axis=1)
    near = np.hypot(*(offsets - back).T) * pixel_m <= OFFSET_M
    counts = (shifted, shifted & called, shifted & near, ~shifted, ~shifted & called)
    return ShiftsFound(*(int(each.sum()) for each in counts))


class PixelScores:
    """IoU of predicted FP and FN pixels with the true ones, counted band by band."""

    def __init__(self) -> None:
        self._counts = {FP: np.zeros(2, np.int64), FN: np.zeros(2, np.int64)}  # in both, in either

    def add(self, quality: NDArray[np.uint8], before: NDArray[np.bool_], after: NDArray[np.bool_]) -> None:
        """Take rows (h, W): quality codes, and the layer before and after the damage."""
        assessed = quality != NOT_ASSESSED
        for code, wrong in ((FP, after & ~before), (FN, before & ~after)):
            called, wrong = quality == code, wrong & assessed
            self._counts[code] += (called & wrong).sum(), (called | wrong).sum()

    def iou(self) -> dict[str, float]:
        """By name of the class; NaN without a pixel."""
        return {CLASS_NAMES[code]: both / either if either else math.nan for code, (both, either) in self._counts.items()}


def errors_right(damage: NDArray[Any], errors: NDArray[Any]) -> dict[str, float]:
    """`polygons`, `right` (at least half covered by damage), `precision` and `precision_of_worst`, NaN without polygons.

    `damage` (N,) and `errors` (M,), worst first, are shapely geometries of one class of error. `precision_of_worst` takes as many
    polygons as there are pieces that are not empty.
    """
    right = _covered(errors, damage) >= COVERED
    pieces = int((shapely.area(damage) > 0).sum())
    first = right[:pieces]
    return {
        "polygons": len(right),
        "right": int(right.sum()),
        "precision": float(right.mean()) if len(right) else math.nan,
        "precision_of_worst": float(first.mean()) if len(first) else math.nan,
    }


def _covered(shapes: NDArray[Any], by: NDArray[Any]) -> NDArray[np.float64]:
    """Share of each shape's area that others cover, in [0, 1]; 0 for an empty shape."""
    by = by[shapely.area(by) > 0]
    tree = shapely.STRtree(by)
    area = shapely.area(shapes)
    result = np.zeros(len(shapes))
    for index, shape in enumerate(shapes):
        if not area[index]:
            continue
        near = by[tree.query(shape, predicate="intersects")]
        if len(near):
            result[index] = shapely.intersection(shape, shapely.union_all(near)).area / area[index]
    return result
