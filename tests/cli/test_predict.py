"""`predict.py` as a user runs it, on good input and bad."""

import csv
import json
import zipfile
from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import shapely
import torch
from PIL import Image
from rasterio.transform import from_origin

from segassess.cli import predict
from segassess.errors import SomeInputsFailed
from segassess.evaluation.sampled_accuracy.recalibration import corrected
from segassess.files import only_one
from segassess.findings.object_scores import OBJECT_COLUMNS
from segassess.findings.polygon_scores import POLYGON_COLUMNS
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.calibration import Calibration
from segassess.models.recalibration import Recalibration
from segassess.predict.band_stores import BandStore
from segassess.predict.pair_job import PairJob
from segassess.predict.scene import OutputSettings
from segassess.predict.scene_job import SceneJudge
from segassess.predict.tiling import Tiling
from segassess.raster.pairs import FailedInput, Pair
from tests.cli.scenes import PLACE, write_tif
from tests.cli.scripts import error_of, run_script
from tests.conftest import save
from tests.models.assessor.models import to_reference

MAPS, LAYERS = {"quality.tif", "error.tif", "refined.tif"}, {"errors.gpkg", "objects.gpkg"}
NAMES = {
    *MAPS,
    *LAYERS,
    "quality.qml",
    "error.qml",
    "refined.qml",
    "panel.png",
    "objects.csv",
    "tiles.csv",
    "review.json",
    "scores.json",
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A georeferenced image of odd size with a mask."""
    folder = tmp_path_factory.mktemp("scene")
    rng = np.random.default_rng(0)
    write_tif(folder / "image.tif", rng.integers(0, 255, (3, 75, 101)).astype(np.uint8), **PLACE)
    write_tif(folder / "mask.tif", (rng.random((1, 75, 101)) > 0.6).astype(np.uint8) * 255, **PLACE)
    return folder


def test_files_keep_their_place_and_agree(scene, checkpoint, tmp_path):
    arguments = f"image={scene}/image.tif", f"mask={scene}/mask.tif", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    run_script("predict", *arguments)
    folder = tmp_path / "out" / "image"
    assert {path.name for path in folder.iterdir()} == NAMES
    with rasterio.open(folder / "quality.tif") as quality, rasterio.open(scene / "image.tif") as image:
        assert quality.crs == image.crs and quality.transform == image.transform
        assert quality.shape == (75, 101) and quality.nodata == 255 and quality.colormap(1)[1][:3] == (213, 94, 0)
        codes = quality.read(1)
        assert quality.tags()["SEGASSESS_DECODING"] == "consistent"
    with rasterio.open(scene / "mask.tif") as file:
        mask = file.read(1) > 0
    assert set(np.unique(codes[mask])) <= {0, 1} and set(np.unique(codes[~mask])) <= {2, 3}
    with rasterio.open(folder / "refined.tif") as file:
        assert np.array_equal(file.read(1) == 1, (mask & (codes == 0)) | (codes == 3))
    with rasterio.open(folder / "error.tif") as file:
        error = file.read(1) * file.scales[0]
    # Where decoding is consistent, the more probable of two classes decides.
    assert np.array_equal(error > 0.502, np.isin(codes, (1, 3)) & (error > 0.502))
    (row,) = csv.DictReader((tmp_path / "out" / "scores.csv").open())
    assert row["name"] == "image" and 0 <= float(row["estimated_iou"]) <= 1
    assert float(row["error_area_px"]) == pytest.approx(error.sum(), rel=0.01)
    assert float(row["error_area_m2"]) == pytest.approx(error.sum() * 0.25, rel=0.02)
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert len(about["checkpoint_digest"]) == 16 and about["config"]["decoding"] is None
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "1 of 1 were complete" in run_script("predict", *arguments).stdout
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps, "a rerun must skip what is complete"
    run_script("predict", *arguments, "decoding=free")
    assert all(path.stat().st_mtime_ns != stamps[path.name] for path in folder.iterdir()), "another decoding is another result"


def test_calibration_moves_probabilities_and_no_decision(scene, checkpoint, tmp_path):
    plain = load_assessor(checkpoint)
    calibration = Calibration(fp=(0.5, -1.0), fn=(0.5, 1.0))
    calibrated = replace(plain, description=replace(plain.description, calibration=calibration))
    pair = Pair("image", str(scene / "image.tif"), {"s": str(scene / "mask.tif")})
    rows, maps = [], []
    for name, loaded in (("plain", plain), ("calibrated", calibrated)):
        folder = tmp_path / name
        rows += PairJob(pair, SceneJudge.of(loaded, torch.device("cpu")), folder).run().rows
        maps.append([rasterio.open(folder / f"{kind}.tif").read(1) for kind in ("quality", "refined", "error")])
        objects = list(csv.DictReader((folder / "objects.csv").open()))
        assert tuple(objects[0]) == OBJECT_COLUMNS and float(objects[0]["area_m2"]) == pytest.approx(
            0.25 * float(objects[0]["area_px"]), rel=0.01
        )
    (quality, refined, error), (same_quality, same_refined, other_error) = maps
    assert np.array_equal(quality, same_quality) and np.array_equal(refined, same_refined)
    inside = np.isin(quality, (0, 1))
    assert other_error[~inside].mean() > error[~inside].mean()
    assert rows[1]["error_area_px"] == pytest.approx(other_error.sum() * 0.004, rel=0.01)
    assert rows[1]["estimated_iou"] != pytest.approx(rows[0]["estimated_iou"], abs=0.01)


def test_a_calibration_of_the_layer_corrects_probabilities_and_is_refused_of_another_assessor(scene, checkpoint, tmp_path):
    digest = load_assessor(checkpoint).digest
    correction, file = Calibration(fp=(0.5, 0.4), fn=(1.5, -1.0)), tmp_path / "\u202e=1+1 <b>.json"
    arguments = f"image={scene}/image.tif", f"mask={scene}/mask.tif", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    run_script("predict", *arguments)
    (before,) = csv.DictReader((tmp_path / "out" / "scores.csv").open())
    maps = {name: rasterio.open(tmp_path / "out" / "image" / f"{name}.tif").read(1) for name in ("quality", "error")}
    Recalibration(correction, "0" * 16, False).write(file, {})
    key = f"calibration='{file}'"
    assert f"made for the assessor {'0' * 16}, and this is {digest}" in error_of(run_script("predict", *arguments, key, code=2))
    Recalibration(correction, digest, False).write(file, {})
    result = run_script("predict", *arguments, key)
    assert "judged with other inputs or settings" in result.stdout + result.stderr
    with rasterio.open(tmp_path / "out" / "image" / "quality.tif") as quality:
        assert np.array_equal(quality.read(1), maps["quality"])
    with rasterio.open(tmp_path / "out" / "image" / "error.tif") as file:
        error = file.read(1) * file.scales[0]
    expected = corrected(correction, maps["error"] * 0.004, np.isin(maps["quality"], (0, 1)))
    assert np.abs(error - expected).max() < 0.01 and np.abs(error - maps["error"] * 0.004).max() > 0.1
    (after,) = csv.DictReader((tmp_path / "out" / "scores.csv").open())
    assert float(after["error_area_px"]) == pytest.approx(error.sum(), rel=0.01)
    assert after["estimated_iou"] != before["estimated_iou"]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["recalibration"] == correction.as_dict()


@pytest.mark.slow
def test_a_failed_rerun_is_not_taken_for_complete(scene, checkpoint, tmp_path):
    (tmp_path / "mask.tif").write_bytes((scene / "mask.tif").read_bytes())
    inputs = f"image={scene}/image.tif", f"mask={tmp_path}/mask.tif", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    run_script("predict", *inputs)
    write_tif(tmp_path / "mask.tif", np.zeros((1, 7, 7), np.uint8))
    run_script("predict", *inputs, code=1)
    assert not (tmp_path / "out" / "image" / "scores.json").exists()


def test_several_sources_of_one_image(scene, checkpoint, tmp_path):
    for source in ("a", "b"):
        (tmp_path / "masks" / source).mkdir(parents=True)
        (tmp_path / "masks" / source / "image.tif").write_bytes((scene / "mask.tif").read_bytes())

    def judge(masks):
        run_script(
            "predict", f"image={scene}/image.tif", f"mask={masks}", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
        )
        return sorted(str(path.relative_to(tmp_path / "out" / "image")) for path in (tmp_path / "out" / "image").rglob("*.*"))

    alone = judge(tmp_path / "masks" / "a" / "image.tif")
    both = judge(tmp_path / "masks" / "*" / "*.tif")
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert [row["source"] for row in rows] == ["a", "b"] and rows[0]["estimated_iou"] == rows[1]["estimated_iou"]
    # What an earlier run left of other masks is gone.
    assert both == sorted(["scores.json", *(f"{name}/{file}" for name in "ab" for file in alone if file != "scores.json")])
    assert judge(tmp_path / "masks" / "a" / "image.tif") == alone


def test_a_raster_and_polygons_at_once(scene, checkpoint, tmp_path):
    """`mask=a.tif,b.gpkg`: the polygons are the outlines of the raster, so both are judged alike."""
    with rasterio.open(scene / "mask.tif") as file:
        found = rasterio.features.shapes(file.read(1), file.read(1) > 0, transform=file.transform)
        outlines = [shapely.geometry.shape(geometry) for geometry, _ in found]
        crs = file.crs.to_wkt()
    pyogrio.raw.write(
        tmp_path / "roofs.gpkg", shapely.to_wkb(np.array(outlines, object)), [], [], geometry_type="Polygon", crs=crs
    )
    result = run_script(
        "predict",
        f"image={scene}/image.tif",
        f"mask={scene}/mask.tif,{tmp_path}/roofs.gpkg",
        f"checkpoint={checkpoint}",
        f"output_dir={tmp_path}/out",
        "output.formats=[gpkg,geojson]",
        "tiling={window: 64, overlap: 32}",
    )
    assert "polygons lie on the image" in result.stdout + result.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert [row["source"] for row in rows] == ["mask", "roofs"] and rows[0]["estimated_iou"] == rows[1]["estimated_iou"]
    folder = tmp_path / "out" / "image" / "roofs"
    layers = {f"{layer}.geojson" for layer in ("errors", "objects", "polygons")}
    assert {path.name for path in folder.iterdir()} == NAMES - {"scores.json"} | layers | {"polygons.gpkg", "polygons.csv"}
    about = pyogrio.read_info(folder / "errors.gpkg")
    assert about["crs"] == "EPSG:32736" and pyogrio.read_info(folder / "errors.geojson")["features"] == about["features"]
    assert not (tmp_path / "out" / "image" / ".work").exists()


def test_touching_polygons_find_back_to_their_layer(scene, checkpoint, tmp_path):
    """In degrees over an image in UTM, beside a raster: one object, two polygons, each with what its layer says of it."""
    left, top = 500_000, 9_000_000
    boxes = [(40, 12, 45, 20), (5, 5, 13, 15), (13, 5, 21, 15), (900, 0, 910, 10)]
    shapes = np.array([shapely.box(left + x, top - bottom, left + right, top - y) for x, y, right, bottom in boxes], object)
    degrees = shapely.transform(
        shapes, lambda at: np.column_stack(rasterio.warp.transform(PLACE["crs"], "EPSG:4326", at[:, 0], at[:, 1]))
    )
    columns = {"fid": np.array([40, 30, 20, 10]), "Verdict": np.array(["fine", None, "demolished", "far"], object)}
    path = tmp_path / "roofs.geojson"
    wkb = shapely.to_wkb(degrees)
    pyogrio.raw.write(path, wkb, list(columns.values()), list(columns), geometry_type="Polygon", crs="EPSG:4326")
    loaded = load_assessor(checkpoint)
    pair = Pair("image", str(scene / "image.tif"), {"raster": str(scene / "mask.tif"), "roofs": str(path)})
    settings = {"tiling": Tiling(64, 32), "output": OutputSettings(formats=("gpkg", "geojson"))}
    judge = SceneJudge.of(loaded, torch.device("cpu"), **settings)
    files = []
    for name in ("one", "two"):
        PairJob(pair, judge, tmp_path / name).run()
        files.append({path.name: path.read_bytes() for path in (tmp_path / name / "roofs").glob("polygons.*")})
    assert files[0] == files[1] and set(files[0]) == {"polygons.gpkg", "polygons.geojson", "polygons.csv"}
    assert not list((tmp_path / "one" / "raster").glob("polygons.*"))
    about, _, geometry, values = pyogrio.raw.read(tmp_path / "one" / "roofs" / "polygons.gpkg")
    layer = dict(zip(about["fields"], values, strict=True))
    assert about["crs"] == PLACE["crs"] and list(layer) == [*POLYGON_COLUMNS, "layer_fid", "layer_Verdict"]
    feature = layer["feature"]
    assert sorted(feature) == [0, 1, 2], "one lies elsewhere"
    assert (layer["layer_fid"] == columns["fid"][feature]).all()
    assert (layer["layer_Verdict"] == columns["Verdict"][feature]).all()
    for outline, index in zip(shapely.from_wkb(geometry), feature, strict=True):
        assert shapely.hausdorff_distance(outline, shapes[index]) < 1e-3
    area = dict(zip(feature, layer["area_px"], strict=True))
    owner = dict(zip(feature, layer["object"], strict=True))
    assert area == {0: 160, 1: 320, 2: 320} and owner[1] == owner[2] != owner[0]
    rows = list(csv.DictReader((tmp_path / "one" / "roofs" / "objects.csv").open()))
    objects = {int(row["object"]): row for row in rows if row["verdict"] != "missed"}
    assert set(objects) == set(owner.values()) == {1, 2} and objects[owner[1]]["area_px"] == "640"
    true = sum(float(row["expected_tp_px"]) for row in objects.values())
    assert layer["expected_tp_px"].sum() == pytest.approx(true, rel=1e-5)
    table = list(csv.DictReader((tmp_path / "one" / "roofs" / "polygons.csv").open()))
    assert [int(row["feature"]) for row in table] == feature.tolist() and tuple(table[0]) == POLYGON_COLUMNS


@pytest.mark.slow
def test_classes_are_judged_one_by_one(scene, checkpoint, tmp_path):
    write_tif(tmp_path / "classes.tif", (np.arange(75 * 101).reshape(1, 75, 101) % 3).astype(np.uint8))
    arguments = f"image={scene}/image.tif", f"mask={tmp_path}/classes.tif", f"checkpoint={checkpoint}"
    run_script("predict", *arguments, f"output_dir={tmp_path}/out", "classes=[1,2]", "panel=false")
    assert {row["source"] for row in csv.DictReader((tmp_path / "out" / "scores.csv").open())} == {"class_1", "class_2"}
    with rasterio.open(tmp_path / "out" / "image" / "class_2" / "quality.tif") as file:
        assert np.isin(file.read(1)[np.arange(75 * 101).reshape(75, 101) % 3 == 2], (0, 1)).all()


@pytest.mark.slow
def test_another_process_at_work_is_not_disturbed(scene, checkpoint, tmp_path):
    arguments = f"image={scene}/image.tif", f"mask={scene}/mask.tif", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    with only_one(tmp_path / "out" / "image" / ".work"):
        assert "is being written by another process" in error_of(run_script("predict", *arguments, code=1))
        assert [path.name for path in (tmp_path / "out" / "image").iterdir()] == [".work"]
    run_script("predict", *arguments)


@pytest.mark.slow
def test_what_a_kill_after_the_last_file_leaves_is_removed(scene, checkpoint, tmp_path):
    arguments = f"image={scene}/image.tif", f"mask={scene}/mask.tif", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    run_script("predict", *arguments)
    folder = tmp_path / "out" / "image"
    fingerprint = json.loads((folder / "scores.json").read_text())["fingerprint"]
    bands = BandStore(folder / ".work", fingerprint, []).folder
    bands.mkdir(parents=True)
    (bands / "band").touch()
    run_script("predict", *arguments)
    assert (folder / "scores.json").is_file() and not (folder / ".work").exists()


def test_bad_inputs_are_named_and_the_others_done(scene, checkpoint, tmp_path):
    rng = np.random.default_rng(1)
    size = (40, 56)
    rgb = rng.integers(0, 255, (*size, 3)).astype(np.uint8)
    good = rng.random(size) > 0.5
    nan = rng.random((3, *size)).astype(np.float32)
    nan[:, :10, :10] = np.nan
    images, masks = tmp_path / "image", tmp_path / "mask"
    fine = {"grey": rgb[..., 0], "rgba": np.dstack([rgb, np.full(size, 255, np.uint8)]), "plain": rgb}
    for name, pixels in fine.items():
        save(images / f"{name}.png", pixels)
    write_tif(images / "deep.tif", rng.integers(200, 3000, (3, *size)).astype(np.uint16))
    write_tif(images / "nan.tif", nan)
    for name in (*fine, "deep", "nan", "empty", "labels", "size", "text", "cut", "crs"):
        save(masks / f"{name}.png", good)
    for name in ("empty", "labels", "size", "cut"):
        save(images / f"{name}.png", rgb)
    save(masks / "empty.png", np.zeros(size, bool))
    Image.fromarray(np.where(good, 7, 3).astype(np.uint8) * good).save(masks / "labels.png")
    save(masks / "size.png", good[:-1])
    (images / "text.tif").write_text("not an image")
    whole = (images / "cut.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    write_tif(images / "crs.tif", rgb.transpose(2, 0, 1), crs="EPSG:32736", transform=from_origin(0, 0, 1, 1))
    (masks / "crs.png").unlink()
    write_tif(masks / "crs.tif", good[None].astype(np.uint8), crs="EPSG:32737", transform=from_origin(0, 0, 1, 1))
    save(images / "alone.png", rgb)
    result = run_script(
        "predict",
        f"image={images}",
        f"mask={masks}",
        f"checkpoint={checkpoint}",
        f"output_dir={tmp_path}/out",
        "panel=false",
        code=1,
    )
    done = {row["name"] for row in csv.DictReader((tmp_path / "out" / "scores.csv").open())}
    assert done == {"grey", "rgba", "plain", "deep", "nan", "empty", "labels"}
    for name, word in {
        "size": "39",
        "text": "image",
        "cut": "cut",
        "crs": "no valid pixel in common",
        "alone": "no mask",
    }.items():
        (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{name}: ")]
        assert word in line, line
        assert not (tmp_path / "out" / name).exists()
    assert "5 of 12 inputs failed" in error_of(result)
    with rasterio.open(tmp_path / "out" / "nan" / "quality.tif") as file:
        codes = file.read(1)
    assert (codes[:10, :10] == 255).all() and (codes != 255).sum() == codes.size - 100


@pytest.mark.parametrize("before", [None, "name,source\n"])
def test_where_nothing_could_be_judged_the_scores_stay(before, tmp_path):
    if before:
        (tmp_path / "scores.csv").write_text(before)
    failed = predict.Outcome(failures={0: FailedInput("a", "It is broken.")})
    with pytest.raises(SomeInputsFailed, match=r"1 of 1 inputs failed: a: It is broken\."):
        predict._conclude(failed, [], None, tmp_path, None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.slow
def test_wrong_requests_are_refused(scene, checkpoint, tmp_path):
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "broken.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    good = {"image": f"{scene}/image.tif", "mask": f"{scene}/mask.tif", "checkpoint": checkpoint, "output_dir": tmp_path / "out"}
    cases = [
        ({"image": f"{scene}/nowhere.tif"}, "nowhere.tif does not exist"),
        ({"image": tmp_path / "nothing"}, "nothing"),
        ({"mask": "null"}, "mask"),
        ({"output_dir": tmp_path / "file"}, "file"),
        ({"output_dir": ""}, "output_dir"),
        ({"checkpoint": tmp_path / "none.ckpt"}, "does not exist"),
        ({"checkpoint": tmp_path / "broken.safetensors"}, "cannot be read"),
        ({"checkpoint": tmp_path / "other.pth"}, "assessor= and encoder="),
        ({"checkpoint": tmp_path / "other.pth", "assessor": "segassess", "encoder": "sam_vit_tiny"}, "image_encoder"),
        ({"assessor": "segassess"}, "does not fit"),
        ({"trainer.devices": 2, "trainer.strategy": "ddp"}, "engine.workers"),
        ({"decoding": "loose"}, "loose"),
    ]
    for change, words in cases:
        arguments = [f"{key}={value}" for key, value in {**good, **change}.items()]
        assert words in error_of(run_script("predict", *arguments, code=2)), change


def test_the_authors_checkpoint_and_free_decoding(scene, tmp_path):
    """A checkpoint laid out like the published ones, in the command that design and README give."""
    model = build_assessor({"name": "segassess"}, {"name": "sam_vit_tiny"})
    tensors = {to_reference(name): tensor for name, tensor in model.state_dict().items()}
    doubled = {f"module.sam.{name}": tensor for name, tensor in tensors.items() if not name.startswith("TCCA")}
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()} | doubled, tmp_path / "best.pkl")
    run_script(
        "predict",
        "assessor=segassess",
        "encoder=sam_vit_tiny",
        "decoding=free",
        f"checkpoint={tmp_path}/best.pkl",
        f"image={scene}/image.tif",
        f"mask={scene}/mask.tif",
        f"output_dir={tmp_path}/out",
    )
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert about["assessor"]["decoding"] == "free"


def test_a_zipped_image(scene, checkpoint, tmp_path):
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
        archive.write(scene / "image.tif", "image.tif")
    run_script(
        "predict",
        f"image=/vsizip/{tmp_path}/scene.zip/image.tif",
        f"mask={scene}/mask.tif",
        f"checkpoint={checkpoint}",
        f"output_dir={tmp_path}/out",
    )
    assert (tmp_path / "out" / "image" / "quality.tif").is_file()
