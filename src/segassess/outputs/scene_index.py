"""One index of all judged scenes, a footprint each with its scores and its worst error: GeoParquet, vector tiles and a page."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely

from segassess.errors import RequestError
from segassess.files import atomic_path, fault_of_disk, write_text
from segassess.findings.scores import SCORES
from segassess.outputs.findings_page import PAGE as FINDINGS
from segassess.outputs.index_page import IndexedScene, RunPages, render_index_page
from segassess.outputs.judged_folder import JudgedFolder, judged_folders, table_rows
from segassess.outputs.layers import GEOPARQUET
from segassess.outputs.review_record import PAGE as REPORT
from segassess.outputs.review_record import overall
from segassess.raster import Georeference, Grid
from segassess.raster.grid import apply_to_all
from segassess.raster.opening import opened

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

PARQUET, TILES, PAGE = "index.parquet", "index.pmtiles", "index.html"
LAYER = "scenes"
# Zoom levels of the vector tiles: of the whole earth, and of a scene of a few hundred metres.
_ZOOMS = {"MINZOOM": "0", "MAXZOOM": "14"}
# Bytes that a scene takes in either file, at most.
_ROW = 4096

# Of a scene beside `SCORES`; places are WGS 84. `errors` counts areas of errors and rims; `worst_px` is the expected number of
# wrong pixels of the first of them. `folder` is relative to the index.
COLUMNS = ("name", "source", "folder", *SCORES, "errors", "worst_quality", "worst_px", "worst_lon", "worst_lat")

Scored = tuple[int, JudgedFolder, dict[str, Any]]


def write_index(
    folder: Path, predicted: Sequence[Path], track: Callable[[list[Scored]], Iterable[Scored]] = iter
) -> tuple[int, list[str], list[Path]]:
    """Write `index.parquet`, `index.pmtiles` and `index.html` of all masks that `predict.py` judged into the folders `predicted`.

    Returns the number of scenes in it, names of masks whose image has no CRS, which are left out, and the paths. `track` may
    show progress. Raises RequestError if results are missing or no image has a CRS, OutputError if the disk is full.
    """
    masks = [
        (run, judged, row)
        for run, each in enumerate(predicted)
        for judged, row in zip(judged_folders(each), table_rows(each / "scores.csv"), strict=True)
    ]
    scenes, left_out = [], []
    for run, judged, row in track(masks):
        with opened(judged.require("quality.tif")) as quality:
            grid = Grid.of(quality)
        footprint = _footprint(grid)
        if footprint is None or grid.georeference is None:
            left_out.append(judged.title)
            continue
        about = {"name": judged.name, "source": judged.source, "folder": _relative(judged.folder, folder)}
        scores = {name: float(row[name]) if row[name] else math.nan for name in SCORES}
        scenes.append(IndexedScene({**about, **scores, **_worst(judged, grid.georeference)}, footprint, run))
    if not scenes:
        raise RequestError(f"No image of {', '.join(map(str, predicted))} has a CRS, so the scenes have no place on the earth.")
    scenes.sort(key=lambda scene: -np.nan_to_num(scene.values["error_area_px"], nan=-math.inf))
    paths = _write_layers(folder, scenes)
    runs = [RunPages(report=_page(each / REPORT, folder), findings=_page(each / FINDINGS, folder)) for each in predicted]
    return len(scenes), left_out, [*paths, write_index_page(folder, scenes, runs, left_out)]


def write_index_page(
    folder: Path, scenes: Sequence[IndexedScene], runs: Sequence[RunPages], left_out: Sequence[str] = ()
) -> Path:
    """Write `index.html` of scenes, worst first, and return its path; `left_out` are names of scenes without a place."""
    rows = [scene.values for scene in scenes]
    about = "Estimates without ground truth. Scenes with the most expected wrong pixels first."
    if left_out:
        about += f" Left out, without a place on the earth: {len(left_out)}, such as {left_out[0]}."
    errors = sum(row["errors"] for row in rows)
    summary = [("scenes", str(len(rows))), ("errors", str(errors)), *overall(rows, "scenes")]
    write_text(folder / PAGE, render_index_page(COLUMNS, scenes, runs, about, summary))
    return folder / PAGE


def _page(path: Path, folder: Path) -> str | None:
    return _relative(path, folder) if path.is_file() else None


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _write_layers(folder: Path, scenes: Sequence[IndexedScene]) -> list[Path]:
    import geopandas

    rows, footprints = [scene.values for scene in scenes], [scene.footprint for scene in scenes]
    frame = geopandas.GeoDataFrame(rows, columns=list(COLUMNS), geometry=footprints, crs="EPSG:4326")
    paths = [folder / PARQUET, folder / TILES]
    for path, write in zip(paths, (_write_parquet, _write_tiles), strict=True):
        with atomic_path(path) as beside:
            beside.unlink()  # GDAL makes the file itself
            try:
                write(frame, beside)
            except pyogrio.errors.DataSourceError as error:
                raise fault_of_disk(folder, len(scenes) * _ROW, f"GDAL could not write it: {error}") from error
    return paths


def _write_parquet(frame: "GeoDataFrame", path: Path) -> None:
    frame.to_parquet(path, **GEOPARQUET)


def _write_tiles(frame: "GeoDataFrame", path: Path) -> None:
    pyogrio.write_dataframe(frame, path, layer=LAYER, driver="PMTiles", **_ZOOMS)


def _footprint(grid: Grid) -> shapely.Geometry | None:
    """The box of a raster in WGS 84; None if it has no place on the earth."""
    if grid.georeference is None or grid.georeference.crs is None:
        return None
    corners = np.array([(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)], float)
    places = grid.georeference.degrees(apply_to_all(grid.georeference.transform, corners))
    return None if places is None or not np.isfinite(places).all() else shapely.orient_polygons(shapely.Polygon(places))


def _worst(judged: JudgedFolder, georeference: Georeference) -> dict[str, Any]:
    """How many errors a mask has, and the first of them, which is the worst."""
    path = judged.require("errors.gpkg")
    count = int(pyogrio.read_info(path, layer="errors")["features"])
    none = {"errors": count, "worst_quality": None, "worst_px": math.nan, "worst_lon": math.nan, "worst_lat": math.nan}
    if not count:
        return none
    columns = ["quality", "expected_errors_px"]
    meta, _, outline, values = pyogrio.raw.read(path, layer="errors", columns=columns, max_features=1)
    found = dict(zip(meta["fields"], (value[0] for value in values), strict=True))
    point = shapely.point_on_surface(shapely.from_wkb(outline[0]))
    places = georeference.degrees(np.array([(point.x, point.y)]))
    lon, lat = (math.nan, math.nan) if places is None else places[0].tolist()
    worst = {"worst_quality": str(found["quality"]), "worst_px": float(found["expected_errors_px"])}
    return {**none, **worst, "worst_lon": lon, "worst_lat": lat}
