"""The fit as users meet it: predict.py and the Python API."""

import json
import logging

import numpy as np
import pyogrio
import pytest
import rasterio

import segassess
from segassess.options.fit import FitSettings
from segassess.predict.fit.blocks import Blocks
from tests.cli.scenes import write_tif
from tests.cli.scripts import error_of, run_fresh
from tests.predict.fit.conftest import QUICK, drawn, rectangles

pytestmark = pytest.mark.slow

KEYS = [f"fit.{name}={value}" for name, value in QUICK.items()]


def found(quality, mask, truth):
    """IoU of the errors that are called."""
    called, wrong = np.isin(quality, (1, 3)), mask != truth
    return (called & wrong).sum() / (called | wrong).sum()


@pytest.fixture
def run(tmp_path):
    """Run predict.py into a subfolder."""

    def judge(image, mask, out, *keys, code=0):
        places = f"image={image}", f"mask={mask}", f"output_dir={tmp_path / out}"
        return run_fresh("predict", *places, "panel=false", *keys, code=code)

    return judge


def test_predict_learns_from_the_layer(damaged, run, tmp_path):
    image, mask, pixels, truth = damaged
    run(image, mask, "plain")
    run(image, mask, "fitted", "fit=layer", *KEYS)
    alone, joined = (rasterio.open(tmp_path / out / "image" / "quality.tif").read(1) for out in ("plain", "fitted"))
    # The bundled assessor knows buildings, not bright rectangles.
    assert found(joined, pixels, truth) > found(alone, pixels, truth) + 0.2

    kept = tmp_path / "fitted" / "fit" / "mask"
    assert sorted(path.name for path in kept.glob("f*")) == [
        "fit.json",
        "fold_0.safetensors",
        "fold_1.safetensors",
        "fusions.json",
    ]
    folder = tmp_path / "fitted" / "image"
    with rasterio.open(folder / "reference.tif") as reference:
        probability = reference.read(1) * reference.scales[0]
    assert probability[truth].mean() > 0.7 and probability[~truth].mean() < 0.35
    verdict, gain = pyogrio.raw.read(folder / "objects.gpkg", columns=["verdict", "shift_gain"], read_geometry=False)[3]
    missed = pyogrio.read_info(folder / "missed.gpkg")["features"]
    assert 0 < missed <= (verdict == "missed").sum() and np.isnan(gain[verdict == "missed"]).all()
    assert not (tmp_path / "plain" / "image" / "reference.tif").exists()

    # Networks of an earlier run judge the same ground in the same way, each its own blocks.
    run(image, mask, "kept", "fit=kept", f"fit.folder={tmp_path / 'fitted' / 'fit'}")
    assert np.array_equal(rasterio.open(tmp_path / "kept" / "image" / "quality.tif").read(1), joined)

    # Judged again without a fit, nothing stays that tells of it.
    run(image, mask, "fitted")
    files = [sorted(path.name for path in (tmp_path / out / "image").iterdir()) for out in ("fitted", "plain")]
    assert files[0] == files[1]


def test_workers_learn_and_judge(damaged, run, tmp_path):
    image, mask, pixels, truth = damaged
    run(image, mask, "out", "fit=layer", *KEYS, "engine.workers=2")
    joined = rasterio.open(tmp_path / "out" / "image" / "quality.tif").read(1)
    assert found(joined, pixels, truth) > 0.2 and len(list((tmp_path / "out" / "fit" / "mask").glob("fold_*.safetensors"))) == 2


def test_a_folder_of_tiles_is_one_layer(run, tmp_path):
    for number in range(8):
        truth, _ = rectangles(256, 12, seed=number)
        write_tif(tmp_path / "image" / f"{number}.tif", drawn(truth).transpose(2, 0, 1))
        write_tif(tmp_path / "mask" / f"{number}.tif", truth[None].astype(np.uint8))
    (tmp_path / "image" / "8.tif").write_bytes(b"no image")
    (tmp_path / "mask" / "8.tif").write_bytes(b"no mask")
    done = run(tmp_path / "image", tmp_path / "mask", "out", "fit=layer", *KEYS, "fit.block_px=256", "fit.steps=2", code=1)
    assert "8.tif" in error_of(done)
    grounds = json.loads((tmp_path / "out" / "fit" / "mask" / "fit.json").read_text())["grounds"]
    assert sorted(ground["first"] for ground in grounds.values()) == [0] * 4 + [1] * 4


@pytest.mark.slow
def test_classes_of_a_raster_are_learned_by_one_network(run, tmp_path):
    truth, boxes = rectangles(768, 100)
    image, classes = drawn(truth), truth.astype(np.uint8)
    for number, (top, bottom, left, right) in enumerate(boxes):
        if number % 2:
            image[top:bottom, left:right, 0] = 0
            classes[top:bottom, left:right] = 2
    for top, bottom, left, right in boxes[:10]:
        classes[top:bottom, left:right] = 0
    write_tif(tmp_path / "image.tif", image.transpose(2, 0, 1))
    write_tif(tmp_path / "classes.tif", classes[None])
    run(tmp_path / "image.tif", tmp_path / "classes.tif", "out", "fit=layer", *KEYS, "classes=[1,2]")
    (kept,) = (tmp_path / "out" / "fit").glob("*/fit.json")
    assert json.loads(kept.read_text())["classes"] == ["class_1", "class_2"]
    for label in (1, 2):
        own = np.zeros_like(truth)
        for top, bottom, left, right in boxes[label - 1 :: 2]:
            own[top:bottom, left:right] = True
        with rasterio.open(tmp_path / "out" / "image" / f"class_{label}" / "reference.tif") as reference:
            probability = reference.read(1) * reference.scales[0]
        assert probability[own].mean() > 0.6 and probability[own].mean() > probability[truth & ~own].mean() + 0.3
    # A class by itself can be judged with what was learned of both.
    run(tmp_path / "image.tif", tmp_path / "classes.tif", "one", "fit=kept", f"fit.folder={tmp_path / 'out'}", "classes=[2]")
    paths = [tmp_path / "one" / "image" / "reference.tif", tmp_path / "out" / "image" / "class_2" / "reference.tif"]
    assert np.array_equal(*(rasterio.open(path).read(1) for path in paths))


def test_too_small_a_layer_is_judged_by_the_assessor_alone(run, tmp_path):
    truth, _ = rectangles(256, 12)
    write_tif(tmp_path / "image.tif", drawn(truth).transpose(2, 0, 1))
    write_tif(tmp_path / "mask.tif", truth[None].astype(np.uint8))
    done = run(tmp_path / "image.tif", tmp_path / "mask.tif", "out", "fit=layer")
    assert "too small to learn from" in done.stderr + done.stdout
    run(tmp_path / "image.tif", tmp_path / "mask.tif", "plain")
    codes = [rasterio.open(tmp_path / out / "image" / "quality.tif").read(1) for out in ("out", "plain")]
    assert np.array_equal(*codes) and not (tmp_path / "out" / "fit" / "mask").exists()


def test_a_folder_without_networks_is_refused(damaged, run, tmp_path):
    done = run(*damaged[:2], "out", "fit=kept", f"fit.folder={tmp_path}", code=2)
    assert str(tmp_path) in error_of(done)


def test_python_learns_from_arrays(damaged, tmp_path, caplog, monkeypatch):
    _, _, mask, truth = damaged
    image, settings = drawn(truth), FitSettings(**QUICK)
    judge = segassess.fit(image, mask, settings=settings, folder=tmp_path / "fit")
    judged = judge.assess(image, mask)
    assert found(judged.quality, mask, truth) > 0.2
    # The array is known again, so each pixel is judged by the network that did not see it.
    assert isinstance(judge.fits["mask"].layer.blocks(f"/vsimem/{next(iter(judge.fits['mask'].layer.grounds))}"), Blocks)
    at_once = segassess.assess(image, mask, fit=settings)
    assert np.array_equal(at_once.quality, judged.quality)
    # Neither trained nor weighed again.
    with monkeypatch.context() as patched:
        patched.setattr("segassess.predict.fit.weighing.find_fusions", None)
        again = segassess.fit(image, mask, settings=settings, folder=tmp_path / "fit")
    assert again.fits["mask"].fusion == judge.fits["mask"].fusion
    with caplog.at_level(logging.WARNING):
        small = segassess.assess(image[:200, :200], mask[:200, :200], fit="layer")
    assert "too small" in caplog.text
    assert np.array_equal(small.quality, segassess.assess(image[:200, :200], mask[:200, :200]).quality)
