"""The index of judged scenes: footprints, scores and worst errors, read back by GeoPandas and GDAL."""

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
    main([f"input={judged},{other}", f"output={tmp_path}"])
    frame = geopandas.read_parquet(tmp_path / "index.parquet")
    assert len(frame) == 4 and len(set(frame["folder"])) == 4


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
