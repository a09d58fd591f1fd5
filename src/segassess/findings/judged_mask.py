"""Scores, review tiles and findings of a whole mask, gathered from its judged bands."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.findings.array_store import ArrayStore
from segassess.findings.bands import JudgedBand, JudgedRows
from segassess.findings.error_regions import RIM_PX
from segassess.findings.findings import Findings, gather_findings
from segassess.findings.review_grid import ReviewGrid
from segassess.findings.scores import SCORES, estimated_scores
from segassess.metrics.expected_counts import ExpectedCounts
from segassess.raster import Grid, VectorMask
from segassess.raster.grid import apply

# Pixels that findings are gathered from at once, and their rows at least: they need many times their size in memory, and each
# time some rows above and below again.
_PIXELS, _ROWS = 2**19, 64

TILE_COLUMNS = ("tile", "row", "column", "left", "top", "right", "bottom", "x", "y", *SCORES)


@dataclass(frozen=True)
class JudgedMask:
    """Scores, review tiles and findings of a mask."""

    scores: dict[str, float]  # of the whole mask, see `estimated_scores`
    tiles: list[dict[str, Any]]  # `TILE_COLUMNS` of each review tile with data, most expected errors first
    findings: Findings
    unreadable: int = 0  # pixels of the image that could not be read


def gather(
    bands: Iterable[JudgedBand],
    review: ReviewGrid,
    grid: Grid,
    *,
    min_area_m2: float | None = None,
    rim_px: int = RIM_PX,
    layer: VectorMask | None = None,
    arrays: ArrayStore | None = None,
) -> JudgedMask:
    """Gather all bands of a mask, from top to bottom, which were counted by `review`; `grid` is the image's.

    Errors and objects below `min_area_m2` are left out; None, or an unknown pixel size, means 25 pixels. For `rim_px`, `layer`
    and `arrays` see `gather_findings`.
    """
    area = grid.pixel_area_m2
    counts = np.zeros((*review.shape, 4))
    unreadable = 0

    def rows() -> Iterator[JudgedRows]:
        nonlocal unreadable
        top = 0
        for band in bands:
            first = top // review.tile
            counts[first : first + len(band.counts)] += band.counts
            unreadable += band.unreadable
            top += len(band.quality)
            yield from band.parts(max(_ROWS, _PIXELS // grid.width))

    smallest = {} if min_area_m2 is None or not area else {"min_area": min_area_m2 / area}
    findings = gather_findings(rows(), rim_px=rim_px, pixel_area_m2=area, layer=layer, arrays=arrays, **smallest)
    whole = sum((tile.counts for tile in review.tiles(counts)), ExpectedCounts())
    return JudgedMask(estimated_scores(whole, area), _tile_rows(review, counts, grid), findings, unreadable)


def _tile_rows(review: ReviewGrid, counts: NDArray[np.float64], grid: Grid) -> list[dict[str, Any]]:
    area = grid.pixel_area_m2
    rows: list[dict[str, Any]] = []
    for tile in review.tiles(counts):
        centre = (tile.left + tile.right) / 2, (tile.top + tile.bottom) / 2
        x, y = centre if grid.georeference is None else apply(grid.georeference.transform, centre)
        place = {"tile": f"r{tile.row}c{tile.column}", "row": tile.row, "column": tile.column, "x": x, "y": y}
        box = {"left": tile.left, "top": tile.top, "right": tile.right, "bottom": tile.bottom}
        rows.append({**place, **box, **estimated_scores(tile.counts, area)})
    return sorted(rows, key=lambda row: (-row["error_area_px"], row["row"], row["column"]))
