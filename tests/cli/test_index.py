"""The index of judged scenes: footprints, scores and worst errors, read back by GeoPandas and GDAL, and the page of them."""

import csv
import shutil

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio

from segassess.cli.index import main
from segassess.errors import RequestError
from segassess.outputs.judged_folder import table_rows
from tests.cli.scenes import WINDOWS, write_scenes
from tests.cli.scripts import run_script
from tests.outputs.pages import content


@pytest.fixture(scope="module")
def judged(checkpoint, tmp_path_factory):
    """Two judged scenes."""
    folder = tmp_path_factory.mktemp("judged")
    write_scenes(folder, {"a": 60, "b": 120})
    arguments = (
        f"image={folder}/image",
        f"mask={folder}/mask",
        f"checkpoint={checkpoint}",
        *WINDOWS,
        "panel=false",
        "report=false",
    )
    run_script("predict", *arguments, f"output_dir={folder}/out")
    return folder / "out"


def test_an_index_says_of_each_scene_where_it_is_and_how_good(judged, tmp_path, capsys):
    main([f"input={judged}", f"output={tmp_path}"])
    assert "2 scenes" in capsys.readouterr().out
    frame = geopandas.read_parquet(tmp_path / "index.parquet")
    assert frame.crs == "EPSG:4326" and sorted(frame["name"]) == ["a", "b"]
    assert frame["error_area_px"].is_monotonic_decreasing
    rows = {row["name"]: row for row in table_rows(judged / "scores.csv")}
    for scene in frame.itertuples():
        assert scene.estimated_iou == pytest.approx(float(rows[scene.name]["estimated_iou"]))
        with rasterio.open(judged / scene.name / "quality.tif") as quality:
            box = rasterio.warp.transform_bounds(quality.crs, "EPSG:4326", *quality.bounds)
        assert scene.geometry.bounds == pytest.approx(box, abs=1e-6)
        errors = pyogrio.read_dataframe(judged / scene.name / "errors.gpkg", layer="errors")
        assert scene.errors == len(errors)
        assert scene.worst_px == pytest.approx(errors["expected_errors_px"].max())
        assert scene.geometry.buffer(1e-6).contains(geopandas.points_from_xy([scene.worst_lon], [scene.worst_lat])[0])
        assert (tmp_path / scene.folder / "quality.tif").is_file()


def test_vector_tiles_hold_the_same_scenes(judged, tmp_path):
    main([f"input={judged}", f"output={tmp_path}"])
    info = pyogrio.read_info(tmp_path / "index.pmtiles", layer="scenes")
    assert {"name", "estimated_iou", "worst_px"} <= set(info["fields"])
    tiles = pyogrio.read_dataframe(tmp_path / "index.pmtiles", layer="scenes")
    assert set(tiles["name"]) == {"a", "b"}


def test_several_folders_are_one_index(judged, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(judged, other)
    for page in ("report.html", "findings.html"):
        (other / page).touch()
    main([f"input={judged},{other}", f"output={tmp_path / 'index'}"])
    frame = geopandas.read_parquet(tmp_path / "index" / "index.parquet")
    assert len(frame) == 4 and len(set(frame["folder"])) == 4
    data = content((tmp_path / "index" / "index.html").read_text(encoding="utf-8"))
    assert data["runs"] == [
        {"report": None, "findings": None},
        {"report": "../other/report.html", "findings": "../other/findings.html"},
    ]
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["scenes"]]
    assert data["columns"][: len(frame.columns) - 1] == list(frame.columns[:-1])
    assert [row["folder"] for row in rows] == list(frame["folder"]), "in the order of the table"
    assert [row["run"] for row in rows] == [int(folder.startswith("../other/")) for folder in frame["folder"]]


def test_a_score_that_is_missing_is_no_number_and_comes_last(judged, tmp_path):
    table = shutil.copytree(judged, tmp_path / "out") / "scores.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    worst = max(rows, key=lambda row: float(row["error_area_px"]))
    worst["error_area_px"] = worst["error_share"] = ""
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    main([f"input={tmp_path / 'out'}"])
    frame = geopandas.read_parquet(tmp_path / "out" / "index.parquet")
    assert frame["name"].tolist()[-1] == worst["name"] and frame["error_share"].isna().tolist() == [False, True]
    data = content((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    share = data["columns"].index("error_share")
    assert [row[share] is None for row in data["scenes"]] == [False, True]


def test_scenes_without_a_place(judged, tmp_path):
    for path in shutil.copytree(judged, tmp_path / "out").glob("*/quality.tif"):
        with rasterio.open(path) as old:
            codes = old.read(1)
        path.unlink()
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=codes.shape[0], width=codes.shape[1], dtype=np.uint8
        ) as new:
            new.write(codes, 1)
    with pytest.raises(RequestError, match="no place on the earth"):
        main([f"input={tmp_path / 'out'}"])
