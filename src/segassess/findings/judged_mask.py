"""What is known of a whole mask, gathered from its judged bands from top to bottom."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.findings.error_regions import RIM_PX
from segassess.findings.findings import Findings, FindingsSweep
from segassess.findings.review_grid import ReviewGrid
from segassess.findings.scores import SCORES, estimated_scores
from segassess.metrics.scores import ExpectedCounts
from segassess.predict.bands import JudgedBand
from segassess.raster import Grid, VectorMask
from segassess.raster.grid import apply

# Rows that findings are gathered from at once: what they need of each is many times its size.
_ROWS = 64

TILE_COLUMNS = ("tile", "row", "column", "left", "top", "right", "bottom", "x", "y", *SCORES)


@dataclass(frozen=True)
class JudgedMask:
    """What is known of a mask.

    Attributes:
        scores: of the whole mask, see `estimated_scores`.
        tiles: a row (`TILE_COLUMNS`) per tile of the review grid that has data, the one with the most expected errors first.
        findings: errors, objects, and polygons of a layer.
        unreadable: pixels of the image that could not be read.
    """

    scores: dict[str, float]
    tiles: list[dict[str, Any]]
    findings: Findings
    unreadable: int = 0


class JudgedMaskSweep:
    """Gathers a `JudgedMask` from bands.

    Args:
        grid: of the image.
        review_tile: side of the review tiles in pixels.
        min_area_m2: smaller errors and objects are left out; None, or where the size of a pixel is unknown, is 25 pixels.
        rim_px: see `ErrorSweep`.
        layer: of polygons that the mask is; None of a raster.
    """

    def __init__(
        self,
        grid: Grid,
        review_tile: int,
        min_area_m2: float | None = None,
        rim_px: int = RIM_PX,
        layer: VectorMask | None = None,
    ) -> None:
        self._grid, self._area = grid, grid.pixel_area_m2
        min_area: dict[str, float] = {}
        if min_area_m2 is not None and self._area:
            min_area["min_area"] = min_area_m2 / self._area
        self._findings = FindingsSweep(rim_px=rim_px, pixel_area_m2=self._area, layer=layer, **min_area)
        self._review = ReviewGrid(grid.height, grid.width, review_tile)
        self._counts = np.zeros((*self._review.shape, 4))
        self._unreadable = 0

    def add(self, band: JudgedBand, top: int) -> None:
        """Take the next band, whose first row in the raster is `top`."""
        for rows in band.rows.parts(_ROWS):
            self._findings.add(rows)
        first = top // self._review.tile
        self._counts[first : first + len(band.counts)] += band.counts
        self._unreadable += band.unreadable

    def finish(self) -> JudgedMask:
        """Gather all; no band can be added any more."""
        whole = sum((tile.counts for tile in self._review.tiles(self._counts)), ExpectedCounts())
        tiles = _tile_rows(self._review, self._counts, self._grid)
        return JudgedMask(estimated_scores(whole, self._area), tiles, self._findings.finish(), self._unreadable)


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
