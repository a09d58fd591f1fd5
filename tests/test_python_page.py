"""The code of docs/python.md and of some other pages runs, block by block, as it stands."""

import re
import shutil
import warnings

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.crs import CRS
from rasterio.transform import from_origin

from segassess.findings.error_regions import ERROR_COLUMNS
from segassess.findings.table import FindingsTable
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.export.huggingface import save_pretrained
from segassess.outputs.layers import write_layer
from segassess.raster import Georeference
from tests.cli.conftest import checkpoint  # noqa: F401  # a fixture
from tests.conftest import ROOT

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


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)


def test_what_the_page_on_any_layer_shows_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (block,) = blocks("how-to/check-any-layer.md")
    names: dict[str, object] = {}
    exec(compile(block, "check-any-layer.md", "exec"), names)
    # So small a layer is left to the assessor, which a warning says; tests/predict/fit has larger ones.
    assert np.array_equal(names["judged"].quality, names["at_once"].quality)


def test_what_the_page_on_export_shows_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    save_pretrained("out/huggingface", load_assessor(folder / "assessor.safetensors"))
    (block,) = blocks("export.md")
    names: dict[str, object] = {}
    exec(compile(block, "docs/export.md", "exec"), names)
    assert names["probabilities"].shape == (1, 4, 96, 128) and (folder / "another_folder" / "config.json").is_file()


def test_what_the_page_on_reviews_shows_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    values = (1, np.array(["FP"], object), np.array(["area"], object), 1, 1333, 30.0, 0.5, 0.9, 666.0)
    columns = {name: np.atleast_1d(value) for name, value in zip(ERROR_COLUMNS, values, strict=True)}
    error = FindingsTable(columns, np.array([shapely.box(10, 10, 43, 50)]))
    write_layer("out/a/errors.gpkg", error, Georeference(CRS.from_string(PLACE["crs"]), PLACE["transform"]))
    (block,) = blocks("how-to/review-findings.md")
    exec(compile(block, "docs/how-to/review-findings.md", "exec"), {})
    assert capsys.readouterr().out.startswith("1 FP POINT (50000")


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
