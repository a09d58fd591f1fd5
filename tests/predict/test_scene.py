"""Scenes judged by windows: the same whatever is large, interrupted, or judged beside it."""

import csv
import hashlib
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch
from rasterio.transform import from_origin

from segassess.errors import InputError
from segassess.interrupts import noting_interrupts
from segassess.models.calibration import Calibration
from segassess.outputs.review_page import tile_picture
from segassess.predict.band_stores import BandsInMemory, BandStore
from segassess.predict.scene import OutputSettings, Source, open_scene
from segassess.predict.scene_job import SceneJob, SceneJudge
from segassess.predict.tiling import Tiling
from segassess.predict.torch_network import TorchNetwork
from segassess.raster import Grid, Rendering
from tests.cli.stopping import interrupt_that_gets_lost
from tests.findings.columns import each_of
from tests.predict.stubs import LocalAssessor

PLACE = {"crs": "EPSG:32736", "transform": from_origin(500_000, 9_300_000, 0.5, 0.5)}
SIZE = (310, 235)
NETWORK = TorchNetwork(LocalAssessor(), "consistent", torch.device("cpu"))
JUDGE = SceneJudge(
    NETWORK,
    "consistent",
    Calibration(),
    tiling=Tiling(96, 32),
    output=OutputSettings(review_tile=100, min_area_m2=0, rim_px=0),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An image, and two masks: squares, and the same without some of them."""
    folder = tmp_path_factory.mktemp("scene")
    rng = np.random.default_rng(0)
    truth = np.zeros(SIZE, np.uint8)
    for top in range(10, 280, 40):
        for left in range(10, 200, 40):
            truth[top : top + 25, left : left + 20] = 1
    image = np.repeat((truth * 120 + 60 + rng.integers(0, 20, SIZE))[None], 3, axis=0).astype(np.uint8)
    image[:, 200:230, :60] = 0
    damaged = truth.copy()
    damaged[10:35, 10:30] = 0
    damaged[150:170, 190:230] = 1
    for name, pixels in (("image", image), ("right", truth[None]), ("damaged", damaged[None])):
        nodata = 0 if name == "image" else None
        layout = {
            "driver": "GTiff",
            "height": SIZE[0],
            "width": SIZE[1],
            "count": len(pixels),
            "dtype": "uint8",
            "nodata": nodata,
        }
        with rasterio.open(folder / f"{name}.tif", "w", **layout, **PLACE) as out:
            out.write(pixels)
    return folder


@contextmanager
def opened(files, store, sources=("damaged",), judge=JUDGE):
    paths = {name: Source(f"{files}/{name}.tif") for name in sources}
    with open_scene(f"{files}/image.tif", paths, Rendering()) as scene:
        yield SceneJob(scene, judge, store)


def judge(files, out, judge=JUDGE, sources=("right", "damaged"), wanted=lambda index: True):
    store = BandStore(out / "work", "request", list(sources))
    with opened(files, store, sources, judge) as job:
        store.remove_others()
        job.judge_bands(wanted)
        return {name: job.write(name, out / name) for name in sources}


def pixels(path):
    with rasterio.open(path) as file:
        return file.read(1)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def judged(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("judged")
    return out, judge(files, out)


def test_the_damage_is_found(judged):
    out, results = judged
    assert results["right"].scores["estimated_iou"] > results["damaged"].scores["estimated_iou"] + 0.03
    for worst, quality, bounds in zip(
        each_of(results["damaged"].findings.errors)[:2], ("FP", "FN"), ((190, 150, 230, 170), (10, 10, 30, 35)), strict=True
    ):
        # The assessor sees edges through a mean.
        assert worst.quality == quality and worst.outline.bounds == pytest.approx(bounds, abs=3)
    codes = pixels(out / "damaged" / "quality.tif")
    assert (codes[200:230, :60] == 255).all() and (codes == 255).sum() == 30 * 60
    assert results["damaged"].tiles[0]["error_area_px"] >= results["damaged"].tiles[-1]["error_area_px"]


def test_files_agree_with_one_another(judged):
    out, results = judged
    codes, refined = (pixels(out / "damaged" / f"{name}.tif") for name in ("quality", "refined"))
    about, _, geometry, values = pyogrio.raw.read(out / "damaged" / "errors.gpkg")
    columns = dict(zip(about["fields"], values, strict=True))
    for code, name in ((1, "FP"), (3, "FN")):
        of_class = columns["quality"] == name
        assert columns["area_px"][of_class].sum() == (codes == code).sum() > 400
        areas = shapely.area(shapely.from_wkb(geometry[of_class]))
        assert areas == pytest.approx(columns["area_px"][of_class] * 0.25)
    assert np.array_equal(refined == 1, (codes == 0) | (codes == 3)) and np.array_equal(refined == 255, codes == 255)
    scores, tiles = results["damaged"].scores, results["damaged"].tiles
    assert sum(tile["error_area_px"] for tile in tiles) == pytest.approx(scores["error_area_px"])
    error = pixels(out / "damaged" / "error.tif")
    assert error[error < 255].sum() * 0.004 == pytest.approx(scores["error_area_px"], rel=0.02)


def test_one_window_and_many_agree(files, judged, tmp_path):
    whole = replace(JUDGE, tiling=Tiling(320, 32))
    judge(files, tmp_path, whole)
    for name in ("right", "damaged"):
        many, one = (pixels(out / name / "error.tif").astype(int) for out in (judged[0], tmp_path))
        difference = np.abs(many - one)
        # At its own border a window's answer is another one, but hardly counts.
        assert difference.max() * 0.004 < 0.04 and (difference > 1).mean() < 0.01


def test_masks_do_not_see_one_another(files, judged, tmp_path):
    judge(files, tmp_path, sources=("damaged",))
    assert digests(tmp_path / "damaged") == digests(judged[0] / "damaged")


def test_an_interrupted_run_ends_in_the_same_files(files, judged, tmp_path):
    calls = []

    class Stops(LocalAssessor):
        def encode_image(self, image):
            calls.append(1)
            if len(calls) == 10:
                raise KeyboardInterrupt
            return super().encode_image(image)

    stops = replace(JUDGE, network=TorchNetwork(Stops(), "consistent", torch.device("cpu")))
    with pytest.raises(KeyboardInterrupt):
        judge(files, tmp_path, stops)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npz")}
    assert len(kept) == 4, "two bands of two masks"
    judge(files, tmp_path, stops)
    assert len(calls) == 10 + 4 + 12, "of 20 windows 8 are kept, and those of the row before are judged again"
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    for name in ("right", "damaged"):
        assert digests(tmp_path / name) == digests(judged[0] / name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_gets_lost_stops_after_the_band(files, ctrl_c_is_on):
    saved = []

    class Stops(BandsInMemory):
        def save(self, index, bands):
            saved.append(index)
            if index == 1:
                interrupt_that_gets_lost()

    with opened(files, Stops(["damaged"])) as job, pytest.raises(KeyboardInterrupt), noting_interrupts():
        job.judge_bands()
    assert saved == [0, 1]


def test_a_band_that_was_left_half_written_is_removed_in_the_end(files, tmp_path):
    judge(files, tmp_path, sources=("damaged",), wanted={0, 1, 2, 3, 4}.__contains__)
    folder = next((tmp_path / "work").glob("*/"))
    (folder / ".band_000009.12345678.part.npz").write_bytes(b"half")
    BandStore(tmp_path / "work", "request", ["damaged"]).clear()
    assert not any(path.is_file() for path in (tmp_path / "work").rglob("*"))


def test_coordinates_of_tiles_are_exact(judged):
    with (judged[0] / "damaged" / "tiles.csv").open() as file:
        rows = {row["tile"]: row for row in csv.DictReader(file)}
    assert (float(rows["r1c2"]["x"]), float(rows["r1c2"]["y"])) == (500_108.75, 9_299_925)


def test_parts_of_a_scene_make_the_whole(files, judged, tmp_path):
    for wanted in ({1, 3}, {0, 2, 4}):
        store = BandStore(tmp_path / "work", "request", ["damaged"])
        with opened(files, store) as job:
            store.remove_others()
            job.judge_bands(wanted.__contains__)
    judge(files, tmp_path, sources=("damaged",))
    assert digests(tmp_path / "damaged") == digests(judged[0] / "damaged")


def test_what_is_there_is_counted(files, tmp_path, caplog):
    caplog.set_level("INFO")
    with opened(files, BandStore(tmp_path / "work", "request", ["damaged"])) as job:
        for wanted in ({0}, {0, 1}):
            job.judge_bands(wanted.__contains__)
    (message,) = caplog.messages
    assert f"{files}/image.tif" in message and "1 of 2" in message


@pytest.mark.parametrize(
    ("gsd", "words"),
    [
        ((0.075, 0.15), "0.5 m, and the assessor learned from 0.075 to 0.15 m"),
        ((2.0, 2.0), "learned from 2 m"),
        ((0.26, 0.3), None),
        ((0.9, 3.0), None),
        (None, None),
    ],
)
def test_pixels_far_from_all_that_was_learned_from_are_doubted(files, gsd, words):
    judge = replace(JUDGE, gsd_m=gsd)
    with open_scene(str(files / "image.tif"), {"right": Source(str(files / "right.tif"))}, Rendering()) as scene:
        doubt = SceneJob(scene, judge, BandsInMemory(["right"])).doubt
        assert words in doubt if words else doubt is None
        # With networks that learned from the layer itself, the assessor's range means little.
        assert SceneJob(scene, judge, BandsInMemory(["right"]), {"right": None}).doubt is None
    assert judge.doubt(Grid(10, 10)) is None


def test_bands_of_another_request_are_not_used(files, tmp_path):
    store = BandStore(tmp_path / "work", "request", ["damaged"])
    with opened(files, store) as job:
        store.remove_others()
        job.judge_bands({0}.__contains__)
        assert store.has(0) and store.load(0, "damaged").quality.shape == (64, 235)
        another = BandStore(tmp_path / "work", "another", ["damaged"])
        assert not another.has(0)
        store.remove_others()
        assert store.has(0)
        another.remove_others()
        assert not store.has(0)
        with pytest.raises(FileNotFoundError):
            store.load(0, "damaged")


def test_a_missing_mask(files):
    with pytest.raises(InputError, match=r"nowhere\.tif does not exist"):
        with open_scene(f"{files}/image.tif", {"a": Source(f"{files}/nowhere.tif")}, Rendering()):
            pytest.fail("it must not open")


def test_an_overview_leaves_out_pixels(files):
    with opened(files, BandsInMemory(["right"]), ["right"]) as job:
        assert job.scene.overview_size(10**6) == SIZE
        size = job.scene.overview_size(SIZE[0] * SIZE[1] // 4)
        job.judge_bands()
        image, (mask, codes, error) = job.scene.overview(size), job.reduced("right", size)
    assert size == (155, 117) and image.shape == (155, 117, 3) and mask.shape == codes.shape == error.shape == size
    assert mask.mean() == pytest.approx(pixels(files / "right.tif").mean(), abs=0.02)
    assert np.array_equal(codes == 255, np.isnan(error)) and (codes == 255).any()


def test_rows_of_masks_are_read_once(files):
    """A band is a part of what its windows have read."""
    read = []
    with opened(files, BandsInMemory(["damaged"])) as job:
        mask = job.scene.masks["damaged"]

        def counted(rows, columns=slice(None), whole=mask.read):
            read.extend(range(rows.start, rows.stop))
            return whole(rows, columns)

        mask.read = counted
        job.judge_bands()
    assert sorted(read) == list(range(SIZE[0]))


def test_pictures_of_tiles_show_the_maps(files, judged):
    out, results = judged
    tiles = results["damaged"].tiles
    codes, error = (pixels(out / "damaged" / f"{name}.tif") for name in ("quality", "error"))
    with opened(files, BandsInMemory(["damaged"])) as job:
        job.judge_bands()
        pictures = job.pictures("damaged", tiles)
        assert list(pictures) == [tile["tile"] for tile in tiles]
        for tile in tiles:
            box = slice(tile["top"], tile["bottom"]), slice(tile["left"], tile["right"])
            assert pictures[tile["tile"]] == tile_picture(job.scene.image.read(*box)[0], codes[box], error[box])
