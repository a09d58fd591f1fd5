from dataclasses import replace
from pathlib import Path

import pytest

from segassess.data.datamodule import AssessmentData, SamplingSettings
from segassess.data.mask_records import RECORD_FILE, MaskRecord, append_record, read_records, refuse_seen
from segassess.data.tiles import FolderTiles, Tile
from segassess.errors import InputError, RequestError

RECORD = MaskRecord("a", "hrnet", "0123456789abcdef", 0.4, "no")


def tile(folder: Path, name: str) -> Tile:
    return Tile(name, Path("image.png"), Path("truth.png"), {"hrnet": folder / f"{name}.tif"})


def test_round_trip_the_last_row_counts_and_a_torn_one_does_not(tmp_path):
    assert read_records(tmp_path) == {}
    append_record(tmp_path, replace(RECORD, seen="trained"))
    append_record(tmp_path, RECORD)
    append_record(tmp_path, replace(RECORD, name="b"))
    with (tmp_path / RECORD_FILE).open("a") as file:
        file.write("c,hrnet,0123")
    assert read_records(tmp_path) == {"a": RECORD, "b": replace(RECORD, name="b")}
    # The next row does not stick to it.
    append_record(tmp_path, replace(RECORD, name="d"))
    assert read_records(tmp_path).keys() == {"a", "b", "d"}


def test_another_file_of_that_name(tmp_path):
    (tmp_path / RECORD_FILE).write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="must have the columns name, segmenter"):
        read_records(tmp_path)


def test_seen_images_are_refused_and_masks_of_unknown_origin_pass(tmp_path):
    refuse_seen("hrnet", [tile(tmp_path, "a")])
    append_record(tmp_path, RECORD)
    append_record(tmp_path, replace(RECORD, name="b", seen="selected"))
    refuse_seen("hrnet", [tile(tmp_path, "a"), tile(tmp_path, "b")])
    append_record(tmp_path, replace(RECORD, name="c", seen="trained"))
    refuse_seen("hrnet", [tile(tmp_path, "a"), tile(tmp_path, "b")])
    with pytest.raises(RequestError, match=r"1 masks of hrnet \(such as c\).*task=crossfit segmenter=hrnet"):
        refuse_seen("hrnet", [tile(tmp_path, "a"), tile(tmp_path, "c")])


def test_training_refuses_them_unless_told_otherwise(tiny_folder, tmp_path):
    root = tmp_path / "tiny"
    root.mkdir()
    for split in ("train", "valid", "test"):
        folder = root / split
        (folder / "seg_preds").mkdir(parents=True)
        for name in ("image", "binary_map"):
            (folder / name).symlink_to(tiny_folder / split / name)
        (folder / "seg_preds" / "alpha").mkdir()
        for mask in (tiny_folder / split / "seg_preds" / "alpha").iterdir():
            (folder / "seg_preds" / "alpha" / mask.name).symlink_to(mask)
    append_record(root / "train" / "seg_preds" / "alpha", MaskRecord("train_3", "alpha", "0" * 16, 0.5, "trained"))
    with pytest.raises(RequestError, match=r"such as train_3"):
        AssessmentData(FolderTiles(root)).train_dataset()
    assert len(AssessmentData(FolderTiles(root), sampling=SamplingSettings(cross_fit=False)).train_dataset()) == 8
