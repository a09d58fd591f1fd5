"""What size and windows cost."""

import json

import numpy as np
import pytest
import rasterio

from segassess.errors import InputError
from segassess.evaluation.scaling import write_mosaic
from tests.cli.scenes import PLACE, write_tif
from tests.cli.scripts import error_of, run_fresh


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    rng = np.random.default_rng(0)
    write_tif(folder / "image.tif", rng.integers(1, 255, (3, 75, 101)).astype(np.uint8), photometric="rgb", **PLACE)
    write_tif(folder / "mask.tif", (rng.random((1, 75, 101)) > 0.6).astype(np.uint8), nodata=7, **PLACE)
    return folder


@pytest.mark.parametrize(("name", "size"), [("image", (160, 250)), ("mask", (40, 30))])
def test_a_mosaic_repeats_its_source(scene, tmp_path, name, size):
    write_mosaic(tmp_path / "mosaic.vrt", scene / f"{name}.tif", *size)
    with rasterio.open(scene / f"{name}.tif") as source, rasterio.open(tmp_path / "mosaic.vrt") as mosaic:
        expected = np.tile(source.read(), (1, 3, 3))[:, : size[0], : size[1]]
        assert np.array_equal(mosaic.read(), expected)
        assert (mosaic.crs, mosaic.transform, mosaic.nodata) == (source.crs, source.transform, source.nodata)
        assert mosaic.colorinterp == source.colorinterp


def test_a_mosaic_of_nothing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        write_mosaic(tmp_path / "mosaic.vrt", tmp_path / "nowhere.tif", 5, 5)


@pytest.mark.slow
def test_sizes_and_windows_are_compared(scene, checkpoint, tmp_path):
    inputs = f"image={scene}/image.tif", f"mask={scene}/mask.tif", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    windows = "scaling.sizes=[[64,64],[150,130]]", "scaling.windows=[[128,0],[64,32]]"
    result = run_fresh("evaluate", "task=scaling", *inputs, *windows, "panel=false", f"paths.output_root={tmp_path}")
    found = json.loads((tmp_path / "out" / "scaling.json").read_text())
    assert [(row["height"], row["width"]) for row in found["sizes"]] == [(64, 64), (150, 130)]
    assert all(row["seconds"] > 0 and row["peak_megabytes"] > 100 and row["errors"] > 0 for row in found["sizes"])
    (row,) = found["windows"]
    assert (row["window"], row["overlap"]) == (64, 32) and 0 < row["mean_error"] < 0.5 and 0 <= row["other_class"] < 0.5
    assert "150 x 130" in result.stdout and "Windows, beside 128 px" in result.stdout
    assert not (tmp_path / "out" / "64x64" / "out" / "image" / "panel.png").exists(), "overrides go on to predict.py"
    elsewhere = run_fresh("evaluate", "task=scaling", *inputs, "output_dir=s3://bucket/out", code=2)
    assert "only predict.py writes into buckets" in elsewhere.stdout + elsewhere.stderr
    wrong = run_fresh("evaluate", "task=scaling", *inputs, "scaling.sizes=[5000]", code=2)
    assert "scaling.sizes" in error_of(wrong)
