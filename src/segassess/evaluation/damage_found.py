"""How much of a known damage to a layer is found by error polygons."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

# A piece of damage is found, and an error polygon right, if so much of its area is covered.
COVERED = 0.5


def damage_found(kinds: Sequence[str], damage: NDArray[Any], errors: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Recall of the pieces of damage, by kind.

    Args:
        kinds: of each piece.
        damage: (N,) shapely geometries of one class of error; empty ones are left out.
        errors: (M,) error polygons of the same class.

    Returns:
        By kind `pieces`, `found` (those that are covered by error polygons by at least a half) and `recall` in [0, 1].
    """
    covered = _covered(damage, errors)
    result = {}
    for kind in dict.fromkeys(kinds):
        of_kind = np.array([each == kind for each in kinds]) & (shapely.area(damage) > 0)
        if of_kind.any():
            found = int((covered[of_kind] >= COVERED).sum())
            result[kind] = {"pieces": int(of_kind.sum()), "found": found, "recall": found / int(of_kind.sum())}
    return result


def errors_right(damage: NDArray[Any], errors: NDArray[Any]) -> dict[str, float]:
    """Precision of the error polygons, of all and of as many of the first as there are pieces of damage.

    Args:
        damage: (N,) shapely geometries of one class of error; empty ones are left out.
        errors: (M,) error polygons of the same class, worst first.

    Returns:
        `polygons`, `right` (those that damage covers by at least a half), `precision`, and `precision_of_worst`; NaN of nothing.
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
    """Share of each shape's area that others cover, in [0, 1]; 0 of an empty one."""
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
