"""The code of docs/python.md runs, block by block, as it stands."""

import re
import shutil
import warnings

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from tests.conftest import ROOT
from tests.pipelines.conftest import checkpoint  # noqa: F401  # a fixture

PLACE = {"crs": "EPSG:32736", "transform": from_origin(500_000, 9_300_000, 0.15, 0.15)}
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
README = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


@pytest.fixture(scope="module")
def folder(tiny_folder, checkpoint, tmp_path_factory):  # noqa: F811
    """The files that the page names."""
    here = tmp_path_factory.mktemp("page")
    for name, kind in (("a", "image"), ("b", "seg_preds/alpha")):
        source = tiny_folder / "test" / kind / "test_0.png"
        shutil.copy(source, here / f"{name}.png")
        with rasterio.open(source) as file:
            pixels = file.read()
        layout = {"count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "dtype": "uint8"}
        with rasterio.open(here / f"{name}.tif", "w", driver="GTiff", **layout, **PLACE) as file:
            file.write(pixels)
    roof = shapely.to_wkb(np.array([shapely.box(500_001, 9_299_990, 500_006, 9_299_996)], object))
    pyogrio.raw.write(here / "c.gpkg", roof, [], [], geometry_type="Polygon", crs="EPSG:32736")
    shutil.copy(checkpoint, here / "assessor.safetensors")
    return here


def test_there_are_blocks():
    assert len(BLOCKS) == 5 and len(README) == 1


@pytest.mark.parametrize("block", [*BLOCKS, *README], ids=lambda block: re.sub(r"\W+", "_", block)[-40:])
def test_a_block_runs(block, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(compile(block, "docs/python.md", "exec"), names)
    judged = names["judged"]
    maps = judged.values() if isinstance(judged, dict) else judged if isinstance(judged, list) else [judged]
    assert [each.quality.shape for each in maps] == [(96, 96)] * len(maps)
    if 'save("out")' in block:
        assert (folder / "out" / "quality.tif").is_file()
