"""Made-up official downloads become tiles of the native layout."""

import csv
import json
import shutil
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine

from segassess.data.tiles import FolderTiles
from segassess.errors import ConfigError, RequestError
from segassess.prepare.source import assign_splits
from segassess.raster import read_image, read_mask
from tests.prepare import archives
from tests.prepare.archives import blobs, grey, picture, save_picture, save_tif
from tests.prepare.conftest import TILE, dataset_config

SPLITS = ("train", "valid", "test")
# Downloads whose scenes are about two tiles of 32 px wide.
SMALL = {
    "baqs": lambda folder: archives.make_baqs(folder, size=40),
    "crowdai": lambda folder: archives.make_crowdai(folder, size=64),
    "deepglobe": archives.make_deepglobe,
    "gid": archives.make_gid,
    "inria": lambda folder: archives.make_inria(folder, scenes=4),
    "massachusetts": archives.make_massachusetts,
    "waqs": lambda folder: archives.make_waqs(folder, size=40),
}


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    return {name: make(folder / name) for name, make in SMALL.items()}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def joined(folder: Path, scene: str, read):
    """The scene's tiles put together again, and where they are valid."""
    tiles = sorted(folder.glob(f"{scene}_??_??.tif"))
    lines = [[read(path) for path in line] for _, line in groupby(tiles, lambda path: path.stem[-5:-3])]
    return tuple(np.concatenate([np.concatenate([tile[part] for tile in line], axis=1) for line in lines]) for part in (0, 1))


def image_of(path: Path):
    raster = read_image(path)
    return np.round(raster.pixels * 255).astype(np.uint8), raster.valid


def mask_of(path: Path):
    raster = read_mask(path)
    return raster.pixels, raster.valid


@pytest.mark.parametrize("name", SMALL)
def test_every_download_becomes_tiles_that_the_project_reads(name, downloads, run, tmp_path):
    before = content(downloads[name])
    report = run(name, downloads[name], tmp_path)
    assert not report.failed
    groups = {}
    for split in SPLITS:
        tiles = FolderTiles(tmp_path).tiles(split)
        listed = rows(tmp_path / split / "tiles.csv")
        assert sorted(row["name"] for row in listed) == [tile.name for tile in tiles]
        assert len(tiles) == report.splits[split].tiles > 0
        groups[split] = {row["group"] for row in listed}
        assert all("." not in row["name"] and row["region"] for row in listed)
        for tile in tiles:
            pixels = tile.read()
            assert pixels.image.shape == (TILE, TILE, 3) and pixels.truth.shape == (TILE, TILE)
            assert not pixels.truth[~pixels.valid].any() and not pixels.image[~pixels.valid].any()
            assert set(np.unique(rasterio.open(tile.truth).read())) <= {0, 255}
    assert not groups["train"] & groups["valid"] and not (groups["train"] | groups["valid"]) & groups["test"]
    assert json.loads((tmp_path / "preparation.json").read_text())["splits"]["test"]["groups"] == len(groups["test"])
    assert content(downloads[name]) == before


def test_tiles_of_a_scene_reassemble_to_it(downloads, run, tmp_path):
    run("inria", downloads["inria"], tmp_path)
    for scene, split, seed in (("austin1", "test", 1), ("austin3", "valid", 3), ("chicago4", "train", 104)):
        image, valid = joined(tmp_path / split / "image", scene, image_of)
        truth, _ = joined(tmp_path / split / "binary_map", scene, mask_of)
        inside = np.zeros((64, 64), bool)
        inside[:50, :50] = True
        np.testing.assert_array_equal(valid, inside)
        np.testing.assert_array_equal(image[:50, :50], picture(seed, 50, 50))
        np.testing.assert_array_equal(truth[:50, :50], blobs(seed, 50, 50))
        assert not image[~inside].any() and not truth[~inside].any()
    # Black is a colour, not a hole.
    assert (picture(1, 50, 50)[25:28, 25:28] == 0).all()


def test_tiles_lie_where_their_pixels_lie(downloads, run, tmp_path):
    run("inria", downloads["inria"], tmp_path)
    for layer in ("image", "binary_map"):
        with rasterio.open(tmp_path / "test" / layer / "austin2_01_01.tif") as tile:
            assert tile.crs == archives.UTM
            assert (tile.transform.c, tile.transform.f) == pytest.approx((500000 + 15 * 2 + 32 * 0.3, 4600000 - 32 * 0.3))
            assert tile.res == pytest.approx((0.3, 0.3))
            assert tile.compression.name == "deflate"
    run("deepglobe", downloads["deepglobe"], tmp_path / "without")
    path = next((tmp_path / "without" / "test" / "image").glob("*.tif"))
    assert read_image(path).georeference is None


def test_tiles_of_a_turned_scene_lie_where_their_pixels_lie(run, tmp_path):
    download = archives.make_inria(tmp_path / "download", cities=("austin",), scenes=4)
    scene = download / "AerialImageDataset" / "train" / "images" / "austin1.tif"
    turned = Affine(0.3, 0.1, 500000, 0.2, -0.3, 4600000)
    save_tif(scene, picture(1, 50, 50), photometric="RGB", crs=archives.UTM, transform=turned)
    run("inria", download, tmp_path / "tiles")
    with rasterio.open(tmp_path / "tiles" / "test" / "image" / "austin1_01_01.tif") as tile:
        expected = 500000 + 32 * (0.3 + 0.1), 4600000 + 32 * (0.2 - 0.3)
        assert (tile.transform.c, tile.transform.f) == pytest.approx(expected)
        assert (tile.transform.b, tile.transform.d) == pytest.approx((0.1, 0.2))


def test_the_usual_tile_of_inria_pads_a_scene_of_330_px_to_4_tiles(run, tmp_path):
    archives.make_inria(tmp_path / "download", cities=("austin",), scenes=4, size=330)
    run("inria", tmp_path / "download", tmp_path / "tiles", tile_size=320)
    image, valid = joined(tmp_path / "tiles" / "test" / "image", "austin1", image_of)
    assert valid.shape == (640, 640) and valid.sum() == 330 * 330
    np.testing.assert_array_equal(image[:330, :330], picture(1, 330, 330))


def test_inria_s_splits_are_numbers_of_scenes(downloads, run, tmp_path):
    run("inria", downloads["inria"], tmp_path, test=[1, 2], valid=[3])
    found = {split: {row["group"] for row in rows(tmp_path / split / "tiles.csv")} for split in SPLITS}
    assert found["test"] == {f"{city}{number}" for city in ("austin", "chicago") for number in (1, 2)}
    assert found["valid"] == {"austin3", "chicago3"} and found["train"] == {"austin4", "chicago4"}
    assert {row["region"] for row in rows(tmp_path / "train" / "tiles.csv")} == {"austin", "chicago"}
    with pytest.raises(ConfigError, match="scene 2"):
        run("inria", downloads["inria"], tmp_path, test=[1, 2], valid=[2])


def test_masks_of_roads_are_binarised_at_128(downloads, run, tmp_path):
    run("deepglobe", downloads["deepglobe"], tmp_path, tile_size=48)
    for split in SPLITS:
        for path in (tmp_path / split / "binary_map").glob("*.tif"):
            expected = blobs(int(path.stem) - 1000, 48, 48)
            expected[0, :4] = [False, False, True, True]
            np.testing.assert_array_equal(mask_of(path)[0], expected)


def test_water_is_one_colour_of_gid(downloads, run, tmp_path):
    run("gid", downloads["gid"], tmp_path)
    for split in SPLITS:
        for group in {row["group"] for row in rows(tmp_path / split / "tiles.csv")}:
            truth, _ = joined(tmp_path / split / "binary_map", group, mask_of)
            np.testing.assert_array_equal(truth[:60, :72], blobs(int(group.split("-")[0][-1]), 60, 72))


def test_massachusetts_keeps_its_parts_and_reads_red_buildings(downloads, run, tmp_path):
    report = run("massachusetts", downloads["massachusetts"], tmp_path)
    assert [report.splits[split].scenes for split in SPLITS] == [3, 1, 2]
    truth, _ = joined(tmp_path / "test" / "binary_map", "228221_15", mask_of)
    np.testing.assert_array_equal(truth[:60, :60], blobs(21, 60, 60))


@pytest.mark.parametrize(("name", "part", "seed"), [("baqs", "val", 50), ("waqs", "test512", 50)])
def test_human_masks_lie_beside_the_checked_ones(name, part, seed, downloads, run, tmp_path):
    report = run(name, downloads[name], tmp_path, tile_size=40)
    assert [report.splits[split].scenes for split in SPLITS] == [4, 1, 2]
    tile = next(tile for tile in FolderTiles(tmp_path).tiles("test") if tile.name == f"{part}_0")
    np.testing.assert_array_equal(tile.read().truth, blobs(seed, 40, 40))
    np.testing.assert_array_equal(tile.read_mask("raw"), np.roll(blobs(seed, 40, 40), 3, axis=1))
    assert not (tmp_path / "test" / "binary_map").exists()


def test_waqs_without_parts_is_split_by_shares(run, tmp_path):
    archives.make_aqs(tmp_path / "download", {"": 10}, size=40)
    (tmp_path / "download" / "label_uncheck" / "tile_3.tif").unlink()
    report = run("waqs", tmp_path / "download", tmp_path / "tiles", tile_size=40, test=0.3)
    assert [report.splits[split].scenes for split in SPLITS] == [6, 1, 3] and not report.failed


def test_shares_of_groups_are_seeded():
    groups = [f"scene{number}" for number in range(100)]
    splits = assign_splits(groups, {"test": 0.2, "valid": 0.1}, seed=1)
    assert [list(splits.values()).count(split) for split in SPLITS] == [70, 10, 20]
    assert assign_splits(reversed(groups), {"test": 0.2, "valid": 0.1}, seed=1) == splits
    assert assign_splits(groups, {"test": 0.2, "valid": 0.1}, seed=2) != splits
    for shares in ({"test": 0.0}, {"test": 1.5}, {"test": 0.9, "valid": 0.6}):
        with pytest.raises(ConfigError, match=r"dataset\.prepare"):
            assign_splits(groups, shares, seed=1)
    with pytest.raises(RequestError, match="too few"):
        assign_splits(["one", "two"], {"test": 0.2, "valid": 0.1}, seed=1)


class Stop:
    """Shows no progress, and presses Ctrl-C after some scenes."""

    def __init__(self, after=None):
        self.after, self.scenes = after, []

    def __call__(self, sequence, description):
        for item in sequence:
            if self.after is not None and len(self.scenes) == self.after:
                raise KeyboardInterrupt
            self.scenes.append(item)
            yield item


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(downloads, run, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("inria", downloads["inria"], whole)
    with pytest.raises(KeyboardInterrupt):
        run("inria", downloads["inria"], parts, track=Stop(after=3))
    assert not (parts / "preparation.json").exists()
    names = {row["name"] for split in SPLITS for row in rows(parts / split / "tiles.csv")}
    assert len(names) == 3 * 4
    first = {path: path.stat().st_mtime_ns for path in parts.rglob("image/*.tif")}
    # A line that a sudden end cut short.
    with (parts / "prepared.jsonl").open("a") as record:
        record.write('{"scene": "austi')
    rest = Stop()
    report = run("inria", downloads["inria"], parts, track=rest)
    assert report.resumed == 3 and len(rest.scenes) == 8 - 3
    assert all(path.stat().st_mtime_ns == time for path, time in first.items())
    assert content(parts) == content(whole)


def test_an_interruption_within_a_scene_leaves_nothing_of_it(downloads, run, tmp_path, monkeypatch):
    from segassess.prepare import tiler

    encoded, calls = tiler._encoded, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return encoded(*arguments)

    monkeypatch.setattr(tiler, "_encoded", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("inria", downloads["inria"], tmp_path)
    # A scene has 4 tiles of 2 files.
    assert len(list(tmp_path.rglob("*.tif"))) == 8
    assert not list(tmp_path.rglob("*.part*"))


def test_a_lost_tile_is_made_again(downloads, run, tmp_path):
    run("inria", downloads["inria"], tmp_path)
    before = content(tmp_path)
    (tmp_path / "test" / "binary_map" / "austin2_00_01.tif").unlink()
    again = Stop()
    run("inria", downloads["inria"], tmp_path, track=again)
    assert [scene.name for scene in again.scenes] == ["austin2"]
    after = content(tmp_path)
    del before["prepared.jsonl"], after["prepared.jsonl"]
    assert after == before


def test_other_settings_are_refused_unless_overwritten(downloads, run, tmp_path):
    run("inria", downloads["inria"], tmp_path)
    with pytest.raises(RequestError, match="tile_size 32 instead of 40"):
        run("inria", downloads["inria"], tmp_path, tile_size=40)
    run("inria", downloads["inria"], tmp_path, tile_size=64, overwrite=True)
    run("inria", downloads["inria"], tmp_path / "fresh", tile_size=64)
    fresh = content(tmp_path / "fresh")
    shutil.rmtree(tmp_path / "fresh")
    assert content(tmp_path) == fresh


def test_a_folder_of_other_tiles_is_not_touched(downloads, run, tmp_path):
    save_tif(tmp_path / "train" / "image" / "mine.tif", picture(1, 8, 8))
    before = content(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(RequestError, match=r"choose another dataset\.root"):
            run("inria", downloads["inria"], tmp_path, overwrite=overwrite)
    assert content(tmp_path) == before


def test_a_scene_that_left_the_download_leaves_the_tiles(run, tmp_path):
    download = archives.make_inria(tmp_path / "download", cities=("austin",), scenes=5)
    run("inria", download, tmp_path / "tiles")
    (download / "AerialImageDataset" / "train" / "images" / "austin2.tif").unlink()
    run("inria", download, tmp_path / "tiles")
    assert not list((tmp_path / "tiles").rglob("austin2_*"))


@pytest.mark.parametrize("name", SMALL)
def test_a_missing_download_is_one_sentence(name, run, tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=r"does not exist; download .* from https://.*, unpack it") as caught:
        run(name, tmp_path / "nothing", tmp_path / "tiles")
    assert dataset_config(name, monkeypatch)["url"] in str(caught.value)
    assert not (tmp_path / "tiles").exists()


def test_a_packed_download_is_to_be_unpacked(run, tmp_path):
    (tmp_path / "NEW2-AerialImageDataset.zip").write_bytes(b"PK")
    for download in (tmp_path, tmp_path / "NEW2-AerialImageDataset.zip"):
        with pytest.raises(RequestError, match=r"NEW2-AerialImageDataset\.zip is still packed; unpack it"):
            run("inria", download, tmp_path / "tiles")


def test_a_broken_scene_does_not_stop_the_others(run, tmp_path):
    download = archives.make_inria(tmp_path / "download", cities=("austin",), scenes=5)
    train = download / "AerialImageDataset" / "train"
    broken = train / "images" / "austin3.tif"
    broken.write_bytes(broken.read_bytes()[:3000])
    (train / "gt" / "austin4.tif").unlink()
    save_tif(train / "gt" / "austin5.tif", grey(blobs(5, 20, 20)))
    report = run("inria", download, tmp_path / "tiles")
    assert set(report.failed) == {"austin3", "austin4", "austin5"}
    assert "damaged" in report.failed["austin3"] and "does not exist" in report.failed["austin4"]
    assert "20 x 20 pixels and its image 50 x 50" in report.failed["austin5"]
    assert all(report.failed[f"austin{number}"].count(". ") == 0 for number in (3, 4, 5))
    assert not [path for number in (3, 4, 5) for path in (tmp_path / "tiles").rglob(f"austin{number}_*")]
    assert report.splits["test"].scenes == 2 and report.splits["train"].scenes == 0
    archives.make_inria(download, cities=("austin",), scenes=5)
    assert run("inria", download, tmp_path / "tiles").resumed == 2


def test_a_truncated_jpeg_is_a_broken_scene(run, tmp_path):
    download = archives.make_deepglobe(tmp_path / "download", size=200)
    image = download / "train" / "1003_sat.jpg"
    image.write_bytes(image.read_bytes()[:2000])
    assert set(run("deepglobe", download, tmp_path / "tiles", tile_size=128).failed) == {"1003"}


def test_odd_images(run, tmp_path):
    download = archives.make_inria(tmp_path / "download", cities=("austin",), scenes=5)
    images = download / "AerialImageDataset" / "train" / "images"
    colours = picture(3, 50, 50)
    alpha = np.full((50, 50, 1), 255, np.uint8)
    alpha[:32, :32], alpha[40:, 40:] = 0, 0
    save_tif(images / "austin1.tif", colours[..., 0])
    save_tif(images / "austin2.tif", np.concatenate([colours, alpha], axis=2), photometric="RGB", alpha="NON-PREMULTIPLIED")
    save_tif(images / "austin3.tif", colours.astype(np.uint16) * 16)
    save_tif(images / "austin4.tif", picture(4, 50, 50), nodata=0)
    report = run("inria", download, tmp_path / "tiles", test=[1, 2, 3, 4], valid=[])
    assert not report.failed
    folder = tmp_path / "tiles" / "test" / "image"
    np.testing.assert_array_equal(joined(folder, "austin1", image_of)[0][:50, :50], np.repeat(colours[..., :1], 3, axis=2))
    # The tile without any data is left out.
    assert not (folder / "austin2_00_00.tif").exists()
    corner, valid = image_of(folder / "austin2_01_01.tif")
    np.testing.assert_array_equal(valid[:18, :18], alpha[32:, 32:, 0] > 0)
    np.testing.assert_array_equal(corner[:8, :8], colours[32:40, 32:40])
    truth = mask_of(tmp_path / "tiles" / "test" / "binary_map" / "austin2_01_01.tif")[0]
    np.testing.assert_array_equal(truth[:18, :18], blobs(2, 50, 50)[32:, 32:] & valid[:18, :18])
    # All tiles of a scene are stretched alike.
    stretched, _ = joined(folder, "austin3", image_of)
    whole = np.round(read_image(images / "austin3.tif").pixels * 255).astype(np.uint8)
    np.testing.assert_array_equal(stretched[:50, :50], whole)
    assert not joined(folder, "austin4", image_of)[1][25:28, 25:28].any()


def test_alpha_of_a_mask_is_not_foreground(run, tmp_path):
    download = archives.make_inria(tmp_path / "download", cities=("austin",), scenes=4)
    layers = np.repeat(grey(blobs(1, 50, 50))[..., None], 4, axis=2)
    layers[..., 3] = 255
    truth = download / "AerialImageDataset" / "train" / "gt" / "austin1.tif"
    save_tif(truth, layers, photometric="RGB", alpha="NON-PREMULTIPLIED")
    run("inria", download, tmp_path / "tiles", tile_size=64)
    written = mask_of(tmp_path / "tiles" / "test" / "binary_map" / "austin1.tif")[0]
    np.testing.assert_array_equal(written[:50, :50], blobs(1, 50, 50))


def test_a_label_without_colours_is_a_broken_scene(run, tmp_path):
    download = archives.make_gid(tmp_path / "download")
    label = next((download / "Large-scale Classification_5classes" / "label_5classes").glob("*0-MSS1_label.tif"))
    save_tif(label, grey(blobs(0, 60, 72)))
    (reason,) = run("gid", download, tmp_path / "tiles").failed.values()
    assert "has 1 band, but its classes are colours" in reason


def test_names_that_repeat_are_refused(run, tmp_path):
    download = archives.make_deepglobe(tmp_path / "download")
    save_picture(download / "train" / "a.1_sat.jpg", picture(1, 48, 48))
    save_picture(download / "train" / "a_1_sat.jpg", picture(2, 48, 48))
    with pytest.raises(RequestError, match="a_1"):
        run("deepglobe", download, tmp_path / "tiles")


def test_opencv_reads_what_was_written(downloads, run, tmp_path):
    run("inria", downloads["inria"], tmp_path, tile_size=64)
    image = cv2.imread(str(tmp_path / "test" / "image" / "austin1.tif"))
    np.testing.assert_array_equal(image[:50, :50, ::-1], picture(1, 50, 50))
