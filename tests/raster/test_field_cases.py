"""Each judging case of ../shared/field_cases, made by its own script."""

import os
import runpy
import subprocess
import sys

import numpy as np
import pytest

from segassess.errors import InputError, RequestError
from segassess.raster import Rendering, open_image, open_mask
from segassess.raster.pairs import find_pairs
from tests.conftest import ROOT, SHARED

CASES = SHARED / "field_cases"


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A function that makes the files of a case and returns their folder."""
    if not CASES.is_dir():
        pytest.skip("the folder ../shared/field_cases is missing")

    def make(name):
        monkeypatch.setattr(sys, "argv", ["make.py", str(tmp_path)])
        runpy.run_path(str(CASES / name / "make.py"))
        return tmp_path

    return make


def judged(folder, image, mask):
    """Foreground, validity and notes of a mask, and the image's pixels."""
    with open_image(folder / image, Rendering()) as opened, open_mask(folder / mask, opened.grid) as layer:
        pixels, valid = layer.read()
        return pixels, valid, " ".join((*opened.notes, *layer.notes)), opened.read()[0]


def expected(folder):
    return judged(folder, "img.tif", "mask.tif")[0]


@pytest.mark.parametrize(
    ("name", "mask", "note"),
    [
        ("geometry_collections", "half_collections.gpkg", "8 of 16"),
        ("geometry_collections", "all_collections.gpkg", "16 of 16"),
        ("unclosed_rings", "half_unclosed.geojson", "8 of 16"),
        ("geojson_projected_no_crs", "one_stray_vertex.gpkg", "1 of 17"),
        ("csv_with_layer", "two.gpkg|layername=buildings", "16 of 16"),
        ("miniswhite", "miniswhite.tif", "inverted"),
    ],
)
def test_the_whole_mask_is_found(case, name, mask, note):
    folder = case(name)
    pixels, valid, notes, _ = judged(folder, "img.tif", mask)
    np.testing.assert_array_equal(pixels, expected(folder))
    assert valid.all() and note in notes


@pytest.mark.parametrize(
    ("name", "image", "mask"),
    [
        ("engineering_crs", "img.tif", "local_mask.tif"),
        ("engineering_crs", "img.tif", "undefined_cartesian.gpkg"),
        ("engineering_crs", "local_img.tif", "lonlat.geojson"),
        ("geojson_projected_no_crs", "img.tif", "metres.geojson"),
        ("lonlat_over_png", "tile.png", "lonlat.geojson"),
        ("lonlat_over_png", "tile.png", "utm.gpkg"),
        ("lonlat_over_png", "gcps.tif", "lonlat.geojson"),
        ("lonlat_over_png", "gcps.tif", "utm.gpkg"),
        ("no_polygon_on_image", "img.tif", "swapped.geojson"),
        ("csv_with_layer", "img.tif", "two.gpkg"),
    ],
)
def test_it_is_refused_in_one_sentence(case, name, image, mask):
    folder = case(name)
    with pytest.raises(InputError) as error:
        judged(folder, image, mask)
    message = str(error.value)
    assert str(folder / mask) in message and "\n" not in message and message.endswith(".") and len(message) < 500


def test_swapped_axes_are_named(case):
    with pytest.raises(InputError, match="swapped"):
        judged(case("no_polygon_on_image"), "img.tif", "swapped.geojson")


def test_a_local_crs_of_both(case):
    folder = case("engineering_crs")
    for mask in ("local_mask.tif", "undefined_cartesian.gpkg"):
        np.testing.assert_array_equal(judged(folder, "local_img.tif", mask)[0], expected(folder))
    with open_image(folder / "local_img.tif") as image:
        assert image.grid.pixel_area_m2 is None


def test_a_scan_is_no_negative(case):
    folder = case("miniswhite")
    pixels = judged(folder, "scan.tif", "mask.tif")[3]
    np.testing.assert_allclose(pixels[..., 0], judged(folder, "img.tif", "mask.tif")[3][..., 0], atol=1e-6)


def test_a_csv_names_a_layer(case):
    folder = case("csv_with_layer")
    (pair,) = find_pairs(folder / "pairs.csv").pairs
    assert pair.masks == {"mask": f"{folder}/two.gpkg|layername=buildings"}


def test_a_json_beside_masks_is_a_sidecar(case):
    folder = case("json_beside_masks")
    (pair,) = find_pairs(folder / "img", folder / "msk").pairs
    assert pair.masks == {"msk": f"{folder}/msk/a.tif"}
    (folder / "msk" / "a.tif").unlink()
    with pytest.raises(RequestError):
        find_pairs(folder / "img", folder / "msk")


@pytest.mark.slow
def test_predict_goes_on_after_refused_masks_and_leaves_areas_of_a_local_crs_empty(case):
    folder = case("engineering_crs")
    rows = "Image ; MASK;Name\nimg.tif;local_mask.tif;a\nlocal_img.tif;lonlat.geojson;b\nlocal_img.tif;local_mask.tif;c\n"
    (folder / "pairs.csv").write_text(rows, encoding="utf-8-sig")
    command = [sys.executable, "predict.py", f"image={folder}/pairs.csv", f"output_dir={folder}/out", "report=true"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False, timeout=600)
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr
    scores = (folder / "out" / "scores.csv").read_text().splitlines()
    assert len(scores) == 2
    row = dict(zip(scores[0].split(","), scores[1].split(","), strict=True))
    assert float(row["estimated_iou"]) > 0 and row["error_area_m2"] == ""
