"""Two editions of a layer over one image, compared where they differ: what became better, and what became worse.

Where both agree, neither is better. Where they differ, the newer edition is better with the probability that its pixel is right,
of which both judgements say something: P(object) is the mean of what they say.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from segassess.errors import RequestError
from segassess.findings.table import FindingsTable
from segassess.outputs.judged_folder import JudgedFolder, rows_of_maps, table_rows
from segassess.quality import FP, NOT_ASSESSED, TP
from segassess.raster import Grid
from segassess.raster.opening import opened

# By rank: outline, what the newer edition did there, whether that is probably `better` or `worse`, the probability that it is
# right, in [0, 1], pixels, square metres (NaN if unknown), and expected pixels won (negative: lost).
CHANGE_COLUMNS = ("change", "did", "verdict", "p_right", "area_px", "area_m2", "gain_px")
ADDED, REMOVED = "added", "removed"
_CONNECTED = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Comparison:
    """Expected pixels won and lost in all, by review tile (rows by name of the tile), and by changed area.

    `added` and `removed` are numbers of pixels; `won` is the expected number of changed pixels that the newer edition has right,
    `lost` of those that it has wrong. `tiles` have the columns `tile`, `left`, `top`, `right`, `bottom`, `changed_px`, `won_px`
    and `lost_px`, the worst (most lost in balance) first. `areas` has `CHANGE_COLUMNS`, worst first.
    """

    grid: Grid
    added: int
    removed: int
    won: float
    lost: float
    tiles: tuple[dict[str, Any], ...]
    areas: FindingsTable


def compare_editions(old: JudgedFolder, new: JudgedFolder, min_area_px: int = 25) -> Comparison:
    """Compare two judged masks of one image; areas of fewer than `min_area_px` pixels are counted but not listed.

    Takes a byte and four more of memory per pixel. Raises RequestError if the two are not on one grid or their maps are missing.
    """
    with opened(old.require("quality.tif")) as first, opened(new.require("quality.tif")) as second:
        grid = Grid.of(first)
        if difference := grid.difference(Grid.of(second)):
            raise RequestError(f"The map of {new.title} {difference}, as that of {old.title} is; judge both over one image.")
    right = np.full((grid.height, grid.width), np.nan, np.float32)
    added = np.zeros((grid.height, grid.width), bool)
    for (was, p_old, known_old), (now, p_new, known_new), top in _bands(old, new):
        rows = slice(top, top + len(was))
        changed = (was != now) & known_old & known_new
        p_object = (p_old + p_new) / 2
        right[rows] = np.where(changed, np.where(now, p_object, 1 - p_object), np.nan)
        added[rows] = now & changed
    changed = ~np.isnan(right)
    won = np.where(changed, right, 0)
    tiles = []
    for tile in table_rows(new.require("tiles.csv")):
        box = slice(int(tile["top"]), int(tile["bottom"])), slice(int(tile["left"]), int(tile["right"]))
        count, gained = int(changed[box].sum()), float(won[box].sum(dtype=np.float64))
        place = {side: int(tile[side]) for side in ("left", "top", "right", "bottom")}
        tiles.append({"tile": tile["tile"], **place, "changed_px": count, "won_px": gained, "lost_px": count - gained})
    tiles.sort(key=lambda tile: (tile["won_px"] - tile["lost_px"], tile["tile"]))
    total, gain, more = int(changed.sum()), float(won.sum(dtype=np.float64)), int(added.sum())
    areas = _areas(changed, added, right, grid, min_area_px)
    return Comparison(grid, more, total - more, gain, total - gain, tuple(tiles), areas)


# The mask, P(object), and what was assessed, all (h, W).
_Judged: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.bool_]]


def _bands(old: JudgedFolder, new: JudgedFolder) -> Iterator[tuple[_Judged, _Judged, int]]:
    """Both judgements and the first row, band by band."""
    with ExitStack() as stack:
        files = [stack.enter_context(opened(mask.require(f"{name}.tif"))) for mask in (old, new) for name in ("quality", "error")]
        for first, second in zip(rows_of_maps(*files[:2]), rows_of_maps(*files[2:]), strict=True):
            yield _judged(*first[1:]), _judged(*second[1:]), first[0]


def _judged(codes: NDArray[np.uint8], p_error: NDArray[np.float64]) -> _Judged:
    inside = (codes == TP) | (codes == FP)
    return inside, np.where(inside, 1 - p_error, p_error), codes != NOT_ASSESSED


def _areas(
    changed: NDArray[np.bool_], added: NDArray[np.bool_], right: NDArray[np.float32], grid: Grid, least: int
) -> FindingsTable:
    """Connected areas that were added, and that were removed, worst first."""
    pixel = grid.pixel_area_m2
    found: list[dict[str, Any]] = []
    for did, pixels in ((ADDED, added), (REMOVED, changed & ~added)):
        labels, count = ndimage.label(pixels, _CONNECTED)
        numbers = labels[pixels]
        area = np.bincount(numbers, minlength=count + 1)
        won = np.bincount(numbers, right[pixels], minlength=count + 1)
        labels[area[labels] < least] = 0
        outlines: dict[int, list[shapely.Geometry]] = {}
        for shape, number in rasterio.features.shapes(labels.astype(np.int32), mask=labels > 0):
            outlines.setdefault(int(number), []).append(shapely.geometry.shape(shape))
        for number, parts in outlines.items():
            p_right = float(won[number] / area[number])
            found.append(
                {
                    "did": did,
                    "verdict": "better" if p_right >= 0.5 else "worse",
                    "p_right": p_right,
                    "area_px": int(area[number]),
                    "area_m2": float("nan") if pixel is None else float(area[number] * pixel),
                    "gain_px": float(2 * won[number] - area[number]),
                    "outline": shapely.union_all(parts),
                }
            )
    found.sort(key=lambda row: row["gain_px"])
    texts = ("did", "verdict")
    columns = {
        name: np.array([row[name] for row in found], object if name in texts else np.int64 if name == "area_px" else np.float64)
        for name in CHANGE_COLUMNS[1:]
    }
    shapes = np.array([row["outline"] for row in found] or [], object)
    return FindingsTable({"change": np.arange(1, len(found) + 1), **columns}, shapes)
