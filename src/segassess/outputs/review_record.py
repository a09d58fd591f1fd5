"""Records of judged masks for the review page, and the page of all of them."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segassess.files import write_text
from segassess.outputs.review_page import ReviewedMask, TilePicture, render_review_page
from segassess.raster import Grid

REVIEW = "review.json"
PAGE = "report.html"
_KEPT = ("tile", "left", "top", "right", "bottom", "x", "y", "estimated_iou", "error_share", "error_area_px", "error_area_m2")


def reviewed_mask(
    name: str, source: str, grid: Grid, tiles: Sequence[Mapping[str, Any]], pictures: dict[str, TilePicture]
) -> ReviewedMask:
    """What the page shows of a mask, of all its `JudgedMask.tiles` and pictures of some of them."""
    rows = [{**{column: row[column] for column in _KEPT}, "lon": None, "lat": None} for row in tiles]
    _add_degrees(rows, grid)
    for row in rows:
        row.update({column: None for column, value in row.items() if isinstance(value, float) and not math.isfinite(value)})
    georeference = grid.georeference
    crs = None if georeference is None or georeference.crs is None else georeference.crs_name
    return ReviewedMask(name=name, source=source, crs=crs, tiles=rows, pictures=pictures)


def keep_review(folder: Path, mask: ReviewedMask) -> None:
    """Write `review.json` beside the maps of a mask."""
    write_text(folder / REVIEW, json.dumps(mask, allow_nan=False))


def write_page(
    output: Path,
    places: Sequence[Path],
    rows: Sequence[Mapping[str, Any]],
    about: str,
    pictures: int,
    findings: str | None = None,
) -> None:
    """Write `report.html`, with pictures of at most so many tiles.

    `places` are the folders of all masks, `rows` their scores; `about` is a sentence on how they were judged. `findings` is
    the name of a page of findings beside it.
    """
    masks = [json.loads((place / REVIEW).read_text(encoding="utf-8")) for place in places]
    tiles = sum(len(mask["tiles"]) for mask in masks)
    summary = [("masks judged", str(len(rows))), ("tiles", str(tiles)), *overall(rows, "masks")]
    write_text(output / PAGE, render_review_page(masks, about, summary, pictures, findings))


def overall(rows: Sequence[Mapping[str, Any]], noun: str) -> list[tuple[str, str]]:
    """Names and values of what holds of all rows of `SCORES`, for the head of a page; `noun` says what they are."""
    errors = sum(row["error_area_px"] for row in rows if not math.isnan(row["error_area_px"]))
    pixels = sum(row["error_area_px"] / row["error_share"] for row in rows if row["error_share"] and row["error_share"] > 0)
    ious = [row["estimated_iou"] for row in rows if not math.isnan(row["estimated_iou"])]
    return [
        (f"estimated IoU, median of {noun}", f"{statistics.median(ious):.3f}" if ious else "–"),
        ("expected share of wrong pixels", f"{100 * errors / pixels:.2f} %" if pixels else "–"),
    ]


def _add_degrees(rows: list[dict[str, Any]], grid: Grid) -> None:
    """Add longitude and latitude of the centres where they are known."""
    if grid.georeference is None or grid.georeference.crs is None or not rows:
        return
    places = grid.georeference.degrees(np.array([(row["x"], row["y"]) for row in rows]))
    if places is None:
        return
    for row, (east, north) in zip(rows, places.tolist(), strict=True):
        if math.isfinite(east) and math.isfinite(north):
            row["lon"], row["lat"] = east, north
