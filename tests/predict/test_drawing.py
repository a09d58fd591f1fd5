import shutil

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from segassess.data.mask_records import RECORD_FILE, read_records
from segassess.data.tiles import FolderTiles
from segassess.errors import RequestError
from segassess.predict.drawing import PROBABILITIES, draw_masks
from segassess.predict.tiling import Tiling
from segassess.predict.torch_network import segment_raster
from segassess.raster import read_mask
from tests.conftest import save
from tests.models.segmenters.stubs import Brighter, fitted, stored

CPU = torch.device("cpu")


@pytest.fixture
def tileset(tiny_folder, tmp_path) -> FolderTiles:
    for folder in ("image", "binary_map"):
        shutil.copytree(tiny_folder / "train" / folder, tmp_path / "train" / folder)
    return FolderTiles(tmp_path)


def networks(*seen: str):
    return fitted(
        stored(0.5, trained_on=["train/train_0", *(f"train/{name}" for name in seen)], selected_on=["train/train_1"]),
        stored(0.2, trained_on=["train/train_2"]),
    )


def test_masks_records_and_scores(tileset):
    drawn = draw_masks(networks(), tileset, "train", device=CPU)
    folder = tileset.mask_folder("train", "bright")
    assert (drawn.masks, drawn.skipped, drawn.seen) == (8, 0, {"no": 7, "selected": 1})
    records = read_records(folder)
    assert {name: record.seen for name, record in records.items()} == {
        f"train_{number}": "selected" if number == 1 else "no" for number in range(8)
    }
    for tile in tileset.tiles("train"):
        level = 0.2 if tile.name == "train_0" else 0.5
        assert records[tile.name].checkpoint == f"{level:.3f}".ljust(16, "0")
        assert np.array_equal(tile.read_mask("bright"), tile.read().image[..., 0] / np.float32(255) > level)
    hits = [(tile.read_mask("bright"), tile.read().truth) for tile in tileset.tiles("train")]
    iou = sum((mask & truth).sum() for mask, truth in hits) / sum((mask | truth).sum() for mask, truth in hits)
    assert drawn.scores["iou"] == pytest.approx(iou)


def test_a_second_run_draws_only_what_is_missing_or_outdated(tileset):
    folder = tileset.mask_folder("train", "bright")
    draw_masks(networks(), tileset, "train", device=CPU)
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tif")}
    (folder / "train_4.tif").unlink()
    assert draw_masks(networks(), tileset, "train", device=CPU).skipped == 7
    assert {name for name, stamp in stamps.items() if (folder / name).stat().st_mtime_ns != stamp} == {"train_4.tif"}
    # Another network for one of the tiles, then another threshold for all.
    assert draw_masks(networks("train_5"), tileset, "train", device=CPU).skipped == 7
    assert draw_masks(networks("train_5"), tileset, "train", device=CPU, threshold=0.6).skipped == 0
    assert draw_masks(networks("train_5"), tileset, "train", device=CPU, threshold=0.6, overwrite=True).skipped == 0
    assert {record.threshold for record in read_records(folder).values()} == {0.6}


def test_probabilities_on_request_and_georeference(tileset):
    image = tileset.root / "train" / "image" / "train_0.png"
    pixels = np.asarray(read(image))
    image.unlink()
    transform = from_origin(500_000, 6_000_000, 0.3, 0.3)
    grid = {"height": 96, "width": 96, "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "transform": transform}
    with rasterio.open(image.with_suffix(".tif"), "w", driver="GTiff", **grid) as dataset:
        dataset.write(pixels)
    draw_masks(networks(), tileset, "train", device=CPU, probabilities=True)
    folder = tileset.mask_folder("train", "bright")
    with rasterio.open(folder / "train_0.tif") as mask:
        assert mask.crs.to_epsg() == 32633 and mask.transform == transform and mask.nodata is None
        assert set(np.unique(mask.read())) <= {0, 255}
        assert mask.tags()["SEGASSESS_SEEN"] == "no"
    with rasterio.open(folder / PROBABILITIES / "train_0.tif") as probability:
        values = probability.read(1) * probability.scales[0]
    assert np.array_equal(values > 0.5, read_mask(folder / "train_0.tif").pixels)
    assert [tile.masks.keys() for tile in tileset.tiles("train")] == [{"bright"}] * 8


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_masks_of_others_are_not_replaced(tileset):
    save(tileset.mask_folder("train", "bright") / "train_3.png", np.ones((96, 96), bool))
    with pytest.raises(RequestError, match=r"train_3\.png was not drawn by this program \(1 such masks.*overwrite=true"):
        draw_masks(networks(), tileset, "train", device=CPU)
    assert not list(tileset.mask_folder("train", "bright").glob("*.tif"))


def test_masks_of_others_are_replaced_on_request_and_none_of_their_files_is_left(tileset):
    folder = tileset.mask_folder("train", "bright")
    # The loader takes the last of two files of one stem.
    save(folder / "train_3.webp", np.ones((96, 96), bool))
    (folder / RECORD_FILE).write_text("of,another,program\n")
    draw_masks(networks(), tileset, "train", device=CPU, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {RECORD_FILE, *(f"train_{number}.tif" for number in range(8))}
    assert len(read_records(folder)) == 8


def test_a_mask_that_an_interrupted_run_did_not_come_to_record_is_drawn_again(tileset):
    folder = tileset.mask_folder("train", "bright")
    draw_masks(networks(), tileset, "train", device=CPU)
    record = folder / RECORD_FILE
    lines = record.read_text().splitlines(keepends=True)
    # The last row was cut short, the one before never written.
    record.write_text("".join(lines[:-2]) + lines[-1][:12])
    assert draw_masks(networks(), tileset, "train", device=CPU).skipped == 6
    assert draw_masks(networks(), tileset, "train", device=CPU).skipped == 8


def test_a_tile_of_the_same_name_in_another_split_is_another_tile(tileset):
    shutil.copytree(tileset.root / "train", tileset.root / "test")
    fold = networks()
    assert draw_masks(fold, tileset, "train", device=CPU).seen == {"no": 7, "selected": 1}
    assert draw_masks(fold, tileset, "test", device=CPU).seen == {"no": 8}
    assert {record.checkpoint for record in read_records(tileset.mask_folder("test", "bright")).values()} == {
        "0.500".ljust(16, "0")
    }
    alone = fitted(stored(0.5, trained_on=[tile.key for tile in tileset.tiles("train")]))
    assert draw_masks(alone, tileset, "test", device=CPU).seen == {"no": 8}


def test_a_broken_image_is_named_and_the_others_are_done(tileset):
    (tileset.root / "train" / "image" / "train_6.png").write_text("no picture")
    drawn = draw_masks(networks(), tileset, "train", device=CPU)
    assert drawn.masks == 7 and [failure.name for failure in drawn.failures] == ["train_6"]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_large_raster_is_blended_from_windows(batch_size):
    image = np.random.default_rng(0).random((100, 30, 3), dtype=np.float32)
    probability = segment_raster(Brighter(0.5).eval(), image, CPU, Tiling(64, 32, batch_size))
    assert np.allclose(probability, 1 / (1 + np.exp(-100 * (image[..., 0] - 0.5))), atol=1e-5)
