"""Polygons become masks, and images that occur more than once are found."""

import csv
import json

import numpy as np
import pytest

from segassess.errors import ConfigError, RequestError
from segassess.prepare.duplicates import clusters, distance, perceptual_hash
from segassess.prepare.readers import PolygonMask
from segassess.raster import read_mask
from tests.prepare import archives
from tests.prepare.archives import coco, picture, save_picture, square

SIZE = 64


@pytest.fixture
def download(tmp_path):
    return archives.make_crowdai(tmp_path / "download", size=SIZE)


def table(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def tiles(root, split):
    return {row["name"]: row["group"] for row in table(root / split / "tiles.csv")}


def test_a_square_covers_its_area():
    drawn = PolygonMask([np.array(square(10, 5, 8), np.float32).reshape(-1, 2)]).rows(0, 20, 20, 30)
    expected = np.zeros((20, 30), bool)
    expected[5:13, 10:18] = True
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(PolygonMask([]).rows(2, 5, 20, 30), np.zeros((3, 30), bool))


def test_polygons_may_reach_over_the_edge_overlap_and_be_read_by_rows():
    polygons = [
        np.array(corners, np.float32)
        for corners in ([(-5, -5), (6, -5), (6, 6), (-5, 6)], [(3, 3), (40, 3), (3, 40)], [(1, 1), (2, 2)])
    ]
    mask = PolygonMask(polygons)
    whole = mask.rows(0, 20, 20, 20)
    # A pixel is inside where its centre is.
    row, column = np.mgrid[:20, :20] + 0.5
    expected = ((row < 6) & (column < 6)) | ((row > 3) & (column > 3) & (row + column < 43))
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(mask.rows(7, 15, 20, 20), whole[7:15])


def test_masks_are_the_polygons_of_their_image(download, run, tmp_path):
    run("crowdai", download, tmp_path / "tiles", tile_size=SIZE)
    names = tiles(tmp_path / "tiles", "test")
    assert set(names) == {"val_000000000000", "val_000000000001"}
    truth = read_mask(tmp_path / "tiles" / "test" / "binary_map" / "val_000000000000.tif").pixels
    row, column = np.mgrid[:SIZE, :SIZE] + 0.5
    expected = np.zeros((SIZE, SIZE), bool)
    first = 100 % 7
    for left, top, side in ((6.4 + first, 12.8, 12.8), (32, 32, 6.4), (44.8, 32, 6.4)):
        expected |= (column > left) & (column < left + side) & (row > top) & (row < top + side)
    np.testing.assert_array_equal(truth, expected)


def test_duplicates_are_left_out_and_reported(download, run, tmp_path):
    report = run("crowdai", download, tmp_path / "tiles", tile_size=SIZE)
    rows = table(tmp_path / "tiles" / "duplicates.csv")
    assert [tuple(row.values()) for row in rows] == [
        ("0", "train_000000000000", "train_000000000006", "train", "0"),
        ("2", "train_000000000002", "val_000000000002", "test", "0"),
    ]
    kept = {**tiles(tmp_path / "tiles", "train"), **tiles(tmp_path / "tiles", "valid")}
    assert set(kept) == {f"train_{number:012d}" for number in (0, 1, 2, 3, 4, 5, 7)}
    assert len(tiles(tmp_path / "tiles", "valid")) == 1
    (note,) = report.notes
    assert note.startswith("1 of 8 training images repeat others, 1 of 3 test images occur in training and 0 repeat")
    assert json.loads((tmp_path / "tiles" / "preparation.json").read_text())["notes"] == [note]


def test_hashes_may_differ_in_some_bits(download, run, tmp_path):
    run("crowdai", download, tmp_path / "tiles", tile_size=SIZE, max_distance=6)
    rows = {row["dropped"]: row for row in table(tmp_path / "tiles" / "duplicates.csv")}
    assert set(rows) == {"train_000000000006", "train_000000000007", "val_000000000002"}
    repeat = rows["train_000000000007"]
    assert repeat["kept"] == "train_000000000001" and 0 < int(repeat["distance"]) <= 6


def test_all_images_can_be_kept_and_groups_are_still_whole(download, run, tmp_path):
    report = run("crowdai", download, tmp_path / "tiles", tile_size=SIZE, deduplicate=False)
    assert sum(report.splits[split].tiles for split in ("train", "valid", "test")) == 11
    assert table(tmp_path / "tiles" / "duplicates.csv") == []
    groups = {**tiles(tmp_path / "tiles", "train"), **tiles(tmp_path / "tiles", "valid")}
    assert groups["train_000000000006"] == groups["train_000000000000"]
    assert "say little" in report.notes[0]


def test_the_smaller_annotations_can_be_read(download, run, tmp_path):
    run("crowdai", download, tmp_path / "tiles", tile_size=SIZE, annotations="annotation-small.json")
    assert len(tiles(tmp_path / "tiles", "train")) + len(tiles(tmp_path / "tiles", "valid")) == 5


def test_an_annotated_image_that_is_not_there_is_a_broken_scene(download, run, tmp_path):
    (download / "val" / "images" / "000000000001.jpg").unlink()
    report = run("crowdai", download, tmp_path / "tiles", tile_size=SIZE)
    assert set(report.failed) == {"val_000000000001"} and report.splits["test"].tiles == 1


def test_annotations_that_are_cut_short_are_refused(download, run, tmp_path):
    file = download / "val" / "annotation.json"
    file.write_text(file.read_text()[:-200])
    with pytest.raises(RequestError, match=r"val/annotation\.json .*COCO"):
        run("crowdai", download, tmp_path / "tiles", tile_size=SIZE)
    coco(file, {"000000000000.jpg": [{"counts": [1, 2], "size": [SIZE, SIZE]}]}, SIZE)
    with pytest.raises(RequestError, match="COCO polygons"):
        run("crowdai", download, tmp_path / "tiles", tile_size=SIZE)
    with pytest.raises(ConfigError, match="from 0 to 63 bits, not 64"):
        run("crowdai", download, tmp_path / "tiles", max_distance=64)


def test_the_hash_knows_a_picture_that_was_compressed_again(tmp_path):
    for name, quality in (("a", 95), ("b", 50)):
        save_picture(tmp_path / f"{name}.jpg", picture(1, 300, 300), quality)
    save_picture(tmp_path / "c.jpg", picture(2, 300, 300))
    (tmp_path / "d.jpg").write_bytes(b"no picture")
    first, again, other = (perceptual_hash(tmp_path / f"{name}.jpg") for name in "abc")
    assert distance(first, again) <= 2 < 10 < distance(first, other)
    assert perceptual_hash(tmp_path / "d.jpg") is None and perceptual_hash(tmp_path / "e.jpg") is None


def test_clusters_are_chains_of_near_hashes():
    rng = np.random.default_rng(3)
    base = [int(value) for value in rng.integers(0, 2**63, 60)]
    hashes = [
        *base,
        *(value ^ 0b11 for value in base[:20]),
        *(value ^ (1 << 60 | 1 << 31 | 1) for value in base[20:30]),
        None,
        None,
    ]
    assert clusters(hashes, 0) == list(range(len(hashes)))
    assert clusters([5, 7, 5, None, 7, None], 0) == [0, 1, 0, 3, 1, 5]
    for max_distance in (1, 2, 3, 5):
        # The same by comparing all with all.
        expected = list(range(len(hashes)))
        for one, first in enumerate(hashes):
            for other, second in enumerate(hashes[:one]):
                if first is not None and second is not None and distance(first, second) <= max_distance:
                    expected[one] = min(expected[one], expected[other])
        assert clusters(hashes, max_distance) == expected
    # A chain: the ends differ in more bits than its links.
    assert clusters([0b0000, 0b1111, 0b0011], 2) == [0, 0, 0]
