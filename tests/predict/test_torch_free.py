"""A process that cannot import torch judges as predict.py does."""

import os
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from tests.cli.scripts import run_script

MAPS = ("quality", "error", "refined")

BLOCKED = """
import runpy, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "lightning"):
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Block())
try:
    import torch
except ImportError:
    runpy.run_module("segassess.predict.torch_free", run_name="__main__")
"""


def judge_without_torch(*arguments, code=0):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BLOCKED, *map(str, arguments)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == code, result.stderr[-3000:]
    return result


def maps(folder):
    return [rasterio.open(folder / f"{name}.tif").read(1) for name in MAPS]


@pytest.fixture
def scene(tmp_path):
    """A georeferenced image of several windows, with nodata, and a mask."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (3, 150, 201)).astype(np.uint8)
    pixels[:, :20, :30] = 0
    mask = np.zeros((1, 150, 201), np.uint8)
    mask[:, 30:90, 40:120] = 255
    place = {"crs": "EPSG:32736", "transform": from_origin(500000, 9000000, 0.5, 0.5), "height": 150, "width": 201}
    for name, data in (("image", pixels), ("mask", mask)):
        nodata = 0 if name == "image" else None
        with rasterio.open(tmp_path / f"{name}.tif", "w", count=len(data), dtype="uint8", nodata=nodata, **place) as file:
            file.write(data)
    return tmp_path


def test_maps_are_those_of_predict(scene, graph_file):
    judge_without_torch(graph_file, scene / "image.tif", scene / "mask.tif", scene / "free", "--window", "96", "--overlap", "32")
    run_script(
        "predict",
        f"image={scene}/image.tif",
        f"mask={scene}/mask.tif",
        f"checkpoint={graph_file}",
        f"output_dir={scene}/out",
        "tiling={window: 96, overlap: 32}",
        "panel=false",
        "report=false",
        f"paths.output_root={scene}",
    )
    for name, ours, theirs in zip(MAPS, maps(scene / "free"), maps(scene / "out" / "image"), strict=True):
        assert ours.shape == (150, 201) and len(np.unique(ours)) > 2
        # Both run the same graph; what is left are roundings of float32 at a cut.
        assert (ours != theirs).mean() < 1e-3 and np.array_equal(ours == 255, theirs == 255), name
        assert (ours[:20, :30] == 255).all()
    for name in ("errors.gpkg", "objects.gpkg", "objects.csv", "tiles.csv"):
        assert (scene / "free" / name).is_file()
    with rasterio.open(scene / "free" / "quality.tif") as file:
        assert file.crs.to_epsg() == 32736 and file.colormap(1)[1][:3] == (213, 94, 0)


def test_a_wrong_request_is_one_sentence(scene, graph_file):
    result = judge_without_torch(scene / "none.onnx", scene / "image.tif", scene / "mask.tif", scene / "out", code=2)
    assert result.stderr.startswith("Error: ") and "does not exist" in result.stderr and "Traceback" not in result.stderr
    judge_without_torch(graph_file, scene / "image.tif", scene / "none.tif", scene / "out", code=2)


@pytest.mark.slow
def test_real_tiles(shared_data, tmp_path):
    """The two tiles with a real model's masks, by the bundled assessor: torch, and its graph without torch."""
    folder = shared_data / "hot_kampala_z19_pred"
    run_script("export", f"output_dir={tmp_path}", "formats=[onnx]", "check.speed_repeats=0", f"paths.output_root={tmp_path}")
    names = sorted(path.stem for path in (folder / "image").glob("*.png"))
    assert len(names) == 2
    given = f"image={folder}/image", f"mask={folder}/pred", f"output_dir={tmp_path}/torch", f"paths.output_root={tmp_path}"
    run_script("predict", *given, "panel=false", "report=false")
    differing = 0
    for name in names:
        judge_without_torch(
            tmp_path / "assessor.onnx", folder / f"image/{name}.png", folder / f"pred/{name}.png", tmp_path / name
        )
        ours, theirs = maps(tmp_path / name), maps(tmp_path / "torch" / name)
        assert ours[0].size == Image.open(folder / f"image/{name}.png").size[0] ** 2
        differing += int((ours[0] != theirs[0]).sum())
        assert np.abs(ours[1].astype(int) - theirs[1].astype(int)).max() <= 1
    print(f"{differing} of 131072 pixels are of another class.")
    assert differing <= 5
