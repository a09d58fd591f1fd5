"""The API judges as `predict.py` does, whatever form image and mask have."""

import csv
import subprocess
import sys

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import rasterio
import shapely
import torch
from PIL import Image
from rasterio.transform import from_origin

import segassess
from segassess.api import Georeference
from segassess.errors import CheckpointError, ConfigError, InputError
from segassess.files import atomic_path
from segassess.findings.object_scores import OBJECT_COLUMNS
from segassess.findings.scores import SCORES
from segassess.models.export.onnx_file import write_onnx
from segassess.outputs.tables import table_cell, write_scores
from segassess.predict.pair_job import PairJob
from segassess.raster.pairs import Pair
from tests.api.conftest import PLACE
from tests.cli.scripts import run_script
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def predicted(judge, files, tmp_path_factory):
    """What predict.py leaves of both masks, and their rows of scores.csv."""
    out = tmp_path_factory.mktemp("predicted")
    masks = {name: f"{files}/{name}.tif" for name in ("perturbed", "perturbed_outline")}
    job = PairJob(Pair("scene", f"{files}/image.tif", masks), judge.settings, out)
    write_scores(out / "scores.csv", job.run().rows)
    with (out / "scores.csv").open() as file:
        return out, {row["source"]: row for row in csv.DictReader(file)}


def pixels(path):
    with rasterio.open(path) as file:
        return file.read(1)


def agree(judged, folder, row):
    assert np.array_equal(judged.quality, pixels(folder / "quality.tif"))
    assert np.array_equal(judged.refined, pixels(folder / "refined.tif"))
    steps = pixels(folder / "error.tif")
    assert np.array_equal(judged.error, np.where(steps == 255, np.nan, steps / np.float32(250)), equal_nan=True)
    assert set(judged.scores) == set(SCORES) == set(row) - {"name", "source"}
    assert {name: table_cell(value) for name, value in judged.scores.items()} == {name: row[name] for name in SCORES}


def test_files_give_the_numbers_of_predict(judge, files, predicted, tmp_path):
    out, rows = predicted
    judged = judge.assess(f"{files}/image.tif", files / "perturbed.tif")
    agree(judged, out / "perturbed", rows["perturbed"])
    assert judged.georeference.crs == PLACE["crs"] and judged.georeference.transform == PLACE["transform"]
    judged.save(tmp_path / "saved")
    saved = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    assert saved == {name: (out / "perturbed" / name).read_bytes() for name in saved}
    maps = {"quality.tif", "error.tif", "refined.tif", "quality.qml", "error.qml", "refined.qml", "errors.gpkg", "objects.gpkg"}
    assert set(saved) == {*maps, "objects.csv", "tiles.csv"}
    with (out / "perturbed" / "objects.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [each["object"] for each in table] == judged.objects["object"].astype(str).tolist() and len(table) > 3
    assert set(table[0]) == set(OBJECT_COLUMNS)
    with (out / "perturbed" / "tiles.csv").open() as file:
        assert [row["tile"] for row in csv.DictReader(file)] == [row["tile"] for row in judged.tiles] != []
    expected = judged.errors["expected_errors_px"].tolist()
    assert expected == sorted(expected, reverse=True) and len(expected) > 3


def test_findings_are_the_layers_that_are_written(judge, files, tmp_path):
    judged = judge.assess(f"{files}/image.tif", files / "perturbed.tif")
    judged.save(tmp_path)
    for name in ("errors", "objects"):
        ours, written = getattr(judged, name), geopandas.read_file(tmp_path / f"{name}.gpkg")
        assert ours.crs == written.crs == PLACE["crs"] and list(ours) == list(written) and len(ours) > 3
        pandas.testing.assert_frame_equal(
            ours.drop(columns="geometry"), written.drop(columns="geometry"), check_dtype=False, check_like=False
        )
        assert ours.area.tolist() == written.area.tolist()


def test_what_was_gathered_is_not_gathered_again(judge, files, tmp_path, monkeypatch):
    judged = judge.assess(f"{files}/image.tif", files / "perturbed.tif")
    assert len(judged.errors) > 3
    monkeypatch.setattr("segassess.predict.scene_job.gather", None)
    judged.save(tmp_path)
    assert (tmp_path / "errors.gpkg").is_file()


def test_polygons_of_a_layer(judge, files, tmp_path):
    left, top = PLACE["transform"].c, PLACE["transform"].f
    squares = [shapely.box(left + x, top - 20, left + x + 10, top - 10) for x in (5, 15)]
    path, wkb = tmp_path / "roofs.gpkg", shapely.to_wkb(np.array(squares, object))
    pyogrio.raw.write(path, wkb, [np.array(["a", "b"], object)], ["name"], geometry_type="Polygon", crs=PLACE["crs"])
    judged = judge.assess(f"{files}/image.tif", path)
    assert sorted(judged.polygons["feature"]) == [1, 2] and judged.polygons.crs == PLACE["crs"]
    assert judged.polygons.area.tolist() == pytest.approx(0.25 * judged.polygons["area_px"])
    judged.save(tmp_path / "saved")
    about, _, _, values = pyogrio.raw.read(tmp_path / "saved" / "polygons.gpkg")
    layer = dict(zip(about["fields"], values, strict=True))
    assert layer["feature"].tolist() == judged.polygons["feature"].tolist()
    assert layer["name"].tolist() == ["_ab"[feature] for feature in layer["feature"]]
    of_raster = judge.assess(f"{files}/image.tif", files / "perturbed.tif").polygons
    assert len(of_raster) == 0 and list(of_raster) == list(judged.polygons)


def test_arrays_give_the_numbers_of_files(judge, scene, predicted):
    made, masks = scene
    out, rows = predicted
    place = Georeference(rasterio.crs.CRS.from_string(PLACE["crs"]), PLACE["transform"])
    judged = judge.assess(made.image, masks, georeference=place)
    assert list(judged) == list(masks)
    for name, each in judged.items():
        agree(each, out / name, rows[name])
        assert each.source == name and np.array_equal(each.mask, masks[name])


def test_several_masks_share_one_encoding(judge, scene, monkeypatch):
    made, masks = scene
    calls = []
    kind = type(judge.loaded.assessor)
    encode = kind.encode_image
    monkeypatch.setattr(kind, "encode_image", lambda network, image: calls.append(1) or encode(network, image))
    both = judge.assess(made.image, list(masks.values()))
    windows = len(calls)
    alone = judge.assess(made.image, masks["perturbed_outline"])
    assert windows == len(calls) - windows == 6
    assert [each.source for each in both] == ["mask_1", "mask_2"]
    assert np.array_equal(both[1].quality, alone.quality) and both[1].scores == pytest.approx(alone.scores, nan_ok=True)


FORMS = {
    "floats": (lambda image: image / 255, lambda mask: mask.astype(float)),
    "halves": (lambda image: (image / 255).astype(np.float16), lambda mask: mask.astype(np.float16)),
    "tensors": (lambda image: torch.from_numpy(image / 255).permute(2, 0, 1), lambda mask: torch.from_numpy(mask)[None]),
    "tensors of a network": (lambda image: torch.from_numpy(image / 255).requires_grad_(), torch.from_numpy),
    "pictures": (Image.fromarray, lambda mask: Image.fromarray(mask.astype(np.uint8) * 255)),
    "opaque": (lambda image: np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]), lambda mask: mask.astype(np.int64)),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_arrays_are_one(judge, scene, form):
    made, masks = scene
    of_image, of_mask = FORMS[form]
    plain = judge.assess(made.image, masks["perturbed"])
    other = judge.assess(of_image(made.image), of_mask(masks["perturbed"]))
    assert np.array_equal(other.mask, plain.mask)
    # Halves round the image.
    assert other.scores == pytest.approx(plain.scores, rel=1e-2 if form == "halves" else 1e-4, nan_ok=True)
    assert np.abs(other.error - plain.error).max() < (0.05 if form == "halves" else 0.005)


def test_grey_16_bit_and_missing_pixels(judge, scene):
    made, masks = scene
    grey = made.image.mean(axis=2)
    judged = judge.assess((grey * 40).astype(np.uint16), masks["perturbed"])
    assert any("stretched" in note for note in judged.notes)
    grey[20:40, 30:60] = np.nan
    judged = judge.assess(grey / 255, masks["perturbed"])
    missing = np.zeros(grey.shape, bool)
    missing[20:40, 30:60] = True
    for plane in (judged.quality == 255, np.isnan(judged.error), judged.refined == 255):
        assert np.array_equal(plane, missing)
    assert not judged.mask[missing].any() and judged.mask.any()
    assert np.array_equal(judged.refined == 1, np.isin(judged.quality, (0, 3)))


def test_classes_and_probabilities(judge, scene):
    made, masks = scene
    classes = np.where(masks["perturbed"], 3, 1)
    assert np.array_equal(judge.assess(made.image, classes, label=3).mask, masks["perturbed"])
    notes = judge.assess(made.image, np.linspace(0, 1, classes.size).reshape(classes.shape)).notes
    assert any(note.startswith("mask: the mask has") and "any value > 0" in note for note in notes)


def test_what_cannot_be_used_is_said_in_one_sentence(judge, scene, files):
    made, masks = scene
    mask = masks["perturbed"]
    for image, other, words in (
        (made.image, mask[:-3], r"^The mask array has 210 x 147 pixels \(width x height\) instead of 210 x 150"),
        (made.image.transpose(2, 0, 1), mask, r"image array has the shape \(3, 150, 210\); give \(H, W\).*transpose\(1, 2, 0\)"),
        (made.image, mask[..., None], r"mask array has the shape \(150, 210, 1\)"),
        (made.image, "nowhere.tif", r"nowhere\.tif does not exist; give the path of a mask"),
        ("nowhere.tif", mask, r"nowhere\.tif does not exist; give the path of an image"),
        (made.image, [mask, np.array([["a"]])], r"mask is of the type ndarray and holds <U1"),
        (made.image[:0], mask, r"image array has the shape \(0, "),
        (made.image > 3, mask, r"holds bool; give a path or numbers"),
        (np.full(mask.shape, np.nan), mask, r"^The image array has no valid pixel in common with The mask array"),
        (made.image, [], r"mask=.* at least one"),
    ):
        with pytest.raises(InputError, match=words):
            judge.assess(image, other)
    with pytest.raises(InputError, match=r"georeference=.*image\.tif"):
        judge.assess(files / "image.tif", mask, georeference=Georeference(None, from_origin(0, 0, 1, 1)))
    with pytest.raises(ConfigError, match="device='abacus' cannot be used"):
        segassess.load(device="abacus")
    with pytest.raises(CheckpointError, match=r"nowhere\.ckpt does not exist"):
        segassess.assess(made.image, mask, assessor="nowhere.ckpt")


def test_an_exported_graph_judges_as_its_checkpoint(judge, scene, tmp_path):
    made, masks = scene
    image, mask = made.image[:96, :96], masks["perturbed"][:96, :96]
    write_onnx(tmp_path / "a.onnx", judge.loaded)
    judged = segassess.assess(image, mask, assessor=tmp_path / "a.onnx")
    assert judged.scores == pytest.approx(judge.assess(image, mask).scores, rel=1e-3, nan_ok=True)
    with pytest.raises(ConfigError, match="leave assessor= and encoder= out"):
        segassess.load(tmp_path / "a.onnx", encoder={"name": "sam_vit_b"})


def test_a_box_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr("segassess.api.loading._PACKAGE", tmp_path / "site" / "segassess")
    with pytest.raises(CheckpointError, match=r"installation has no twin_lite0\.safetensors; give load\(\)"):
        segassess.load()
    packaged = tmp_path / "site" / "segassess" / "checkpoints" / "twin_lite0.safetensors"
    with atomic_path(packaged) as beside:
        beside.write_bytes((ROOT / "checkpoints" / packaged.name).read_bytes())
    assert segassess.load().description.decoding == "consistent"


def test_importing_it_is_light_and_its_words_are_there():
    code = "import sys, segassess; assert not {'torch', 'numpy'} & set(sys.modules); print(*dir(segassess))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"load", "assess", "QualityMap", "Judge"} <= set(result.stdout.split())
    assert segassess.api.assess is segassess.assess
    with pytest.raises(AttributeError, match="no attribute 'asses'"):
        segassess.asses  # noqa: B018


@pytest.mark.slow
def test_the_script_and_the_bundled_assessor(files, tmp_path):
    image, mask = f"{files}/image.tif", f"{files}/perturbed.tif"
    run_script("predict", f"image={image}", f"mask={mask}", f"output_dir={tmp_path}/out", f"hydra.run.dir={tmp_path}/run")
    with (tmp_path / "out" / "scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    agree(segassess.assess(image, mask), tmp_path / "out" / "image", row)
