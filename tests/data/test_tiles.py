import numpy as np
import pytest

from segassess.data.datamodule import AssessmentData
from segassess.data.sources import available_sources
from segassess.data.synthetic_tiles import SyntheticTiles
from segassess.data.tiles import FolderTiles, SharedTiles, sources_on_disk
from segassess.errors import ConfigError, InputError, RequestError
from tests.conftest import save


def test_native_layout(tiny_folder):
    tileset = FolderTiles(tiny_folder)
    tiles = tileset.tiles("train")
    assert [tile.name for tile in tiles] == [f"train_{number}" for number in range(8)]
    assert set(tiles[0].masks) == {"alpha", "beta", "ocrnet"}
    pixels = tiles[0].read()
    assert pixels.image.shape == (96, 96, 3) and pixels.image.dtype == np.uint8
    assert pixels.truth is not None and pixels.truth.dtype == np.bool_ and pixels.valid.all()
    assert tiles[0].read_mask("alpha").shape == (96, 96)
    with pytest.raises(InputError, match="no mask of the source gamma"):
        tiles[0].read_mask("gamma")


def test_human_masks_checked_labels_and_renamed_splits(tmp_path):
    image, truth = np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=bool)
    save(tmp_path / "val" / "image" / "a.png", image)
    save(tmp_path / "val" / "label_checked" / "a.tif", truth)
    save(tmp_path / "val" / "binary_map" / "a.png", ~truth)
    save(tmp_path / "val" / "label_uncheck" / "a.png", truth)
    (tile,) = FolderTiles(tmp_path, {"valid": "val"}).tiles("valid")
    assert tile.read_mask("raw").sum() == 8
    assert tile.read().truth.sum() == 8


def test_names_may_repeat_in_another_split_and_keys_do_not(tmp_path):
    for split in ("train", "val"):
        save(tmp_path / split / "image" / "0001.png", np.zeros((8, 8, 3), np.uint8))
    tileset = FolderTiles(tmp_path, {"valid": "val"})
    (train,), (valid,), (same) = (tileset.tiles(split) for split in ("train", "valid", "val"))
    assert (train.name, train.key, valid.key) == ("0001", "train/0001", "val/0001")
    assert same[0].key == valid.key, "one folder by two names"


def test_missing_folder_says_what_is_wanted(tmp_path):
    with pytest.raises(RequestError, match=r"No images found in .*dataset\.root must hold"):
        FolderTiles(tmp_path).tiles("train")


def test_truth_of_another_size_is_refused(tmp_path):
    save(tmp_path / "train" / "image" / "a.png", np.zeros((8, 8, 3), np.uint8))
    save(tmp_path / "train" / "binary_map" / "a.png", np.zeros((8, 9), bool))
    (tile,) = FolderTiles(tmp_path).tiles("train")
    with pytest.raises(InputError, match="must match"):
        tile.read()


def manifest(folder, rows):
    lines = ["source,name,split,group,pred", *rows]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    for row in rows:
        region, name = row.split(",")[:2]
        save(folder / region / "image" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
        save(folder / region / "mask" / f"{name}.png", np.eye(8, dtype=bool))


def test_manifest(tmp_path):
    manifest(tmp_path, ["north,a,train,g1,", "south,b,train,g1,", "south,c,test,g2,1"])
    assert [tile.name for tile in SharedTiles(tmp_path, tmp_path / "drawn").tiles("train")] == ["north_a", "south_b"]
    for chosen in ("south", ["south"]):
        found = SharedTiles(tmp_path, tmp_path / "drawn", chosen)
        assert [tile.region for tile in found.tiles("train")] == ["south"]
        learned = SharedTiles(tmp_path, tmp_path / "drawn", train_regions=chosen)
        assert [tile.region for tile in learned.learning_tiles("train")] == ["south"]
    assert sources_on_disk(SharedTiles(tmp_path, tmp_path / "drawn").tiles("test")) == ["pred"]
    with pytest.raises(RequestError, match=r"no tile of the split 'valid'.*test, train"):
        SharedTiles(tmp_path, tmp_path / "drawn").tiles("valid")
    with pytest.raises(RequestError, match=r"manifest\.csv does not exist"):
        SharedTiles(tmp_path / "nowhere", tmp_path).tiles("train")


def test_a_manifest_names_the_network_that_drew_a_mask(tmp_path):
    lines = [
        "source,name,split,group,pred,producer,image,gsd_m",
        "nz,a,train,g1,drawn.png,UNet,b.png,0.075",
        "nz,c,train,g2,,,c.png,",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    save(tmp_path / "nz" / "image" / "b.png", np.full((8, 8, 3), 7, np.uint8))
    save(tmp_path / "nz" / "mask" / "a.png", np.eye(8, dtype=bool))
    save(tmp_path / "nz" / "pred" / "drawn.png", ~np.eye(8, dtype=bool))
    first, second = SharedTiles(tmp_path, tmp_path / "drawn").tiles("train")
    pixels = first.read()
    assert pixels.image.max() == 7 and pixels.truth.sum() == 8 and first.read_mask("UNet").sum() == 56
    assert (first.gsd, second.gsd, dict(second.masks)) == (0.075, None, {})


def test_a_group_in_two_splits_is_refused(tmp_path):
    manifest(tmp_path, ["north,a,train,g1,", "north,b,test,g1,"])
    with pytest.raises(RequestError, match="group g1 of north lies in several splits"):
        SharedTiles(tmp_path, tmp_path / "drawn").tiles("train")


def test_a_group_in_two_folders_is_refused(tmp_path):
    for split, group in (("train", "g1"), ("val", "g1"), ("train_again", "g1")):
        save(tmp_path / split / "image" / f"{split}.png", np.zeros((8, 8, 3), np.uint8))
        (tmp_path / split / "tiles.csv").write_text(f"name,group,region\n{split},{group},here\n")
    assert FolderTiles(tmp_path).tiles("train"), "val is not one of its splits"
    with pytest.raises(RequestError, match=r"group g1 of here lies .*\(train, valid\).* .*val.tiles\.csv"):
        FolderTiles(tmp_path, {"valid": "val"}).tiles("valid")


def test_shared_tiles_are_split_by_group(shared_data):
    tileset = SharedTiles(shared_data, shared_data / "nothing")
    groups = {split: {tile.group for tile in tileset.tiles(split)} for split in ("train", "valid", "test")}
    assert not groups["train"] & groups["valid"] and not groups["train"] & groups["test"]
    assert {tile.region for tile in tileset.tiles("test")} == {"hot_catanduanes"}
    assert len(tileset.tiles("train")) == 244


def test_synthetic_tiles_are_written_once(tmp_path):
    options = dict(train=3, valid=1, test=1, size=64)
    tiles = SyntheticTiles(tmp_path, **options).tiles("train")
    stamps = [tile.image.stat().st_mtime_ns for tile in tiles]
    again = SyntheticTiles(tmp_path, **options).tiles("train")
    assert [tile.image.stat().st_mtime_ns for tile in again] == stamps
    assert len(SyntheticTiles(tmp_path, **{**options, "train": 2}).tiles("train")) == 2
    (test,) = SyntheticTiles(tmp_path, **options).tiles("test")
    assert set(test.masks) == {"discriminant"}
    assert not np.array_equal(tiles[0].read().image, test.read().image)
    with pytest.raises(RequestError, match="train, valid, test"):
        SyntheticTiles(tmp_path, **options).tiles("extra")
    with pytest.raises(ConfigError, match=r"building, road, water"):
        SyntheticTiles(tmp_path, object="bridge")


def test_sources_on_disk_and_made(tiny_folder):
    tileset = FolderTiles(tiny_folder)
    assert available_sources(tileset.tiles("train"), ["perturbed", "alpha"]) == ["alpha", "beta", "ocrnet", "perturbed"]
    data = AssessmentData(tileset)
    tile = tileset.tiles("test")[0]
    pixels = tile.read()
    masks = {}
    for source in data.sources(["alpha", "perturbed", "discriminant"], tileset.tiles("test")):
        masks[source.name] = source.mask(tile, pixels, np.random.default_rng(0))
        assert masks[source.name].shape == (96, 96) and masks[source.name].dtype == np.bool_
    assert np.array_equal(masks["alpha"], tile.read_mask("alpha"))
    with pytest.raises(RequestError, match=r"'gamma'.* alpha, beta, ocrnet, intact, perturbed,"):
        data.sources(["gamma"], tileset.tiles("test"))
