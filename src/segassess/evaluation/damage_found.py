"""How much of a known damage to a layer the error polygons find."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

# Share of its area from which a piece of damage is found, or an error polygon right.
COVERED = 0.5


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
