from dataclasses import replace

import numpy as np
import pytest

from segassess.data.datamodule import AssessmentData, SamplingSettings
from segassess.data.extended_tiles import ExtendedTiles, JoinedTiles
from segassess.data.mask_records import MaskRecord, append_record
from segassess.data.synthetic_tiles import SyntheticTiles
from segassess.data.tiles import FolderTiles, SharedTiles
from segassess.errors import RequestError
from tests.conftest import save


@pytest.fixture
def extended(tiny_folder, tmp_path) -> ExtendedTiles:
    roads = SyntheticTiles(tmp_path, train=2, valid=1, test=1, size=64, object="road")
    return ExtendedTiles(FolderTiles(tiny_folder), {"roads": roads})


def test_only_training_tiles_are_added_and_nothing_else_changes(extended):
    base = extended.base
    assert extended.tiles("train")[:8] == base.tiles("train")
    added = extended.tiles("train")[8:]
    assert [(tile.name, tile.key) for tile in added] == [
        ("roads_train_0000", "roads/train/train_0000"),
        ("roads_train_0001", "roads/train/train_0001"),
    ]
    assert {tile.region for tile in added} == {f"roads/{extended.added['roads'].root.name}"}
    assert extended.tiles("valid") == base.tiles("valid") and extended.tiles("test") == base.tiles("test")
    assert len({tile.key for tile in extended.tiles("train")}) == 10


def test_a_source_on_disk_serves_its_own_tiles_and_made_ones_all(extended):
    data = AssessmentData(extended, made=["perturbed"], train_sources=["alpha", "perturbed"], sampling=SamplingSettings(crop=64))
    batches = list(data.train_dataloader())
    drawn = {
        (name.startswith("roads_"), source) for batch in batches for name, source in zip(batch.name, batch.source, strict=True)
    }
    assert drawn == {(False, "alpha"), (False, "perturbed"), (True, "perturbed")}


def test_selection_takes_no_added_tile(extended):
    data = AssessmentData(extended, train_sources=["alpha"], sampling=SamplingSettings(selection_share=0.5))
    assert len(data.selection_tiles()) == 4 and len(data.training_tiles()) == 6
    assert not any(tile.name.startswith("roads_") for tile in data.selection_tiles())


def test_masks_of_seen_images_are_refused_wherever_they_lie(extended, tmp_path):
    folder = tmp_path / "masks"
    append_record(folder, MaskRecord("train_0000", "alpha", "0" * 16, 0.5, "trained"))
    roads = extended.added["roads"]
    with_masks = [replace(tile, masks={"alpha": folder / f"{tile.name}.png"}) for tile in roads.tiles("train")]
    roads.learning_tiles = lambda split: with_masks
    data = AssessmentData(extended, train_sources=["alpha"])
    with pytest.raises(RequestError, match=r"1 masks of alpha \(such as train_0000\)"):
        data.train_dataset()


def test_joined_data_sets_are_one_in_every_split(tiny_folder, tmp_path):
    base = FolderTiles(tiny_folder)
    scenes = SyntheticTiles(tmp_path, train=2, valid=1, test=1, size=64)
    joined = JoinedTiles({"tiny": base, "scenes": scenes})
    for split in ("train", "valid", "test"):
        assert joined.tiles(split) == base.tiles(split) + scenes.tiles(split)
    assert joined.mask_folder("train", "alpha") == base.mask_folder("train", "alpha")
    with pytest.raises(RequestError):
        joined.tiles("nowhere")
    with pytest.raises(RequestError):
        JoinedTiles({"one": base, "same": base}).tiles("train")


def test_a_split_that_one_part_lacks_is_the_other_s(tiny_folder, tmp_path):
    (tmp_path / "extra" / "image").mkdir(parents=True)
    save(tmp_path / "extra" / "image" / "a.png", np.zeros((8, 8, 3), np.uint8))
    joined = JoinedTiles({"tiny": FolderTiles(tiny_folder), "more": FolderTiles(tmp_path)})
    assert [tile.name for tile in joined.tiles("extra")] == ["a"]
    with pytest.raises(RequestError):
        joined.tiles("train")


def test_real_networks_and_shared_tiles_share_no_group_between_splits(shared_data):
    networks = shared_data.parent / "data_networks"
    parts = {name: SharedTiles(root, root / "nothing") for name, root in (("tiles", shared_data), ("networks", networks))}
    joined = JoinedTiles(parts)
    data = AssessmentData(
        joined, train_sources=["FPN"], held_out=["BRNet", "UNet"], sampling=SamplingSettings(selection_share=0.125)
    )
    assert len(joined.tiles("train")) == 244 + 590
    seen = {tile.group for tile in data.training_tiles()}
    unseen = {tile.group for tile in [*joined.tiles("valid"), *joined.tiles("test"), *data.selection_tiles()]}
    assert not seen & unseen
    assert {source for tile in data.train_dataset().tiles for source in tile.masks} == {"FPN"}
