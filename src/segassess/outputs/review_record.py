"""What `predict.py` keeps of each mask for the review page, and the page of all of them."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rasterio
import rasterio.warp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from segassess.files import atomic_path
from segassess.findings.judged_mask import JudgedMask
from segassess.outputs.review_page import ReviewedMask, TilePicture, render_review_page, tile_picture
from segassess.predict.scene import Scene
from segassess.raster import Grid

REVIEW = "review.json"
PAGE = "report.html"
_KEPT = ("tile", "left", "top", "right", "bottom", "x", "y", "estimated_iou", "error_share", "error_area_px", "error_area_m2")


def keep_review(scene: Scene, name: str, source: str, judged: JudgedMask, folder: Path, pictures: int) -> None:
    """Write `review.json` beside the maps of a mask.

    Args:
        scene: the open scene.
        name: of the scene.
        source: of the mask.
        judged: what is known of it.
        folder: of its maps.
        pictures: of at most so many tiles, the worst.
    """
    rows = [{**{column: row[column] for column in _KEPT}, "lon": None, "lat": None} for row in judged.tiles]
    _add_degrees(rows, scene.grid)
    shown: dict[str, TilePicture] = {}
    with rasterio.open(folder / "quality.tif") as quality, rasterio.open(folder / "error.tif") as error:
        for row in rows[:pictures]:
            rows_of, columns_of = slice(row["top"], row["bottom"]), slice(row["left"], row["right"])
            window = Window(row["left"], row["top"], row["right"] - row["left"], row["bottom"] - row["top"])
            pixels, _ = scene.image.read(rows_of, columns_of)
            shown[row["tile"]] = tile_picture(pixels, quality.read(1, window=window), error.read(1, window=window))
    georeference = scene.grid.georeference
    crs = None if georeference is None or georeference.crs is None else georeference.crs_name
    content = ReviewedMask(name=name, source=source, crs=crs, tiles=rows, pictures=shown)
    for row in rows:
        row.update({column: None for column, value in row.items() if isinstance(value, float) and not math.isfinite(value)})
    with atomic_path(folder / REVIEW) as beside:
        beside.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def write_page(output: Path, places: Sequence[Path], rows: Sequence[Mapping[str, Any]], about: str, pictures: int) -> None:
    """Write `report.html`.

    Args:
        output: where it goes.
        places: folders of the maps of all masks.
        rows: their scores.
        about: a sentence on how they were judged.
        pictures: of at most so many tiles.
    """
    masks = [json.loads((place / REVIEW).read_text(encoding="utf-8")) for place in places]
    errors = sum(row["error_area_px"] for row in rows if not math.isnan(row["error_area_px"]))
    pixels = sum(row["error_area_px"] / row["error_share"] for row in rows if row["error_share"] and row["error_share"] > 0)
    ious = [row["estimated_iou"] for row in rows if not math.isnan(row["estimated_iou"])]
    summary = [
        ("masks judged", str(len(rows))),
        ("tiles", str(sum(len(mask["tiles"]) for mask in masks))),
        ("estimated IoU, median of masks", f"{statistics.median(ious):.3f}" if ious else "–"),
        ("expected share of wrong pixels", f"{100 * errors / pixels:.2f} %" if pixels else "–"),
    ]
    with atomic_path(output / PAGE) as beside:
        beside.write_text(render_review_page(masks, about, summary, pictures), encoding="utf-8")


def _add_degrees(rows: list[dict[str, Any]], grid: Grid) -> None:
    """Longitude and latitude of the centres, where they are known."""
    if grid.georeference is None or grid.georeference.crs is None or not rows:
        return
    try:
        lon, lat = rasterio.warp.transform(
            grid.georeference.crs, "EPSG:4326", [row["x"] for row in rows], [row["y"] for row in rows]
        )
    except (RasterioError, ValueError):
        return
    for row, east, north in zip(rows, lon, lat, strict=True):
        if math.isfinite(east) and math.isfinite(north):
            row["lon"], row["lat"] = east, north
