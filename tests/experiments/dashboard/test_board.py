"""Pictures and tables of a run, and the callbacks that make them, without a training."""

import csv
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from segassess.data.batch import Batch
from segassess.experiments.dashboard.board import Board
from segassess.experiments.dashboard.confusion_plot import write_confusion_plot
from segassess.experiments.dashboard.history_plot import write_history_plot
from segassess.experiments.dashboard.sheet import write_sheet
from segassess.experiments.dashboard.tile_sheet import JudgedTile, write_tile_sheet
from segassess.experiments.dashboard.validation_tiles import ValidationTiles
from segassess.quality import CLASS_COLOURS, FN, FP, NOT_ASSESSED, TN, TP
from segassess.training.callbacks import Pace


def tile(predicted, height=64, width=64):
    codes = np.full((height, width), predicted, np.uint8)
    return JudgedTile("a", "alpha", np.full((height, width, 3), 128, np.uint8), codes < TN, codes, codes)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_wandb_is_not_imported_for_a_run_without_it():
    code = (
        "import sys; from pathlib import Path; from segassess.experiments.dashboard.board import Board;"
        "Board(Path('x')).numbers({'a': 1.0}); sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_table_is_a_file_with_empty_cells_for_what_is_undefined(tmp_path):
    Board(tmp_path).table("some", [{"a": 1, "b": float("nan")}, {"a": 2, "c": 0.5}])
    with (tmp_path / "tables" / "some.csv").open() as file:
        assert list(csv.reader(file)) == [["a", "b", "c"], ["1", "", ""], ["2", "", "0.5"]]


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2)])
def test_a_sheet_has_two_tiles_in_a_row(tmp_path, count, rows, columns):
    write_tile_sheet(tmp_path / "a.png", [tile(FP)] * count, "title")
    shown = pixels(tmp_path / "a.png")
    # Predicted and true quality map of each tile are all FP: two pictures of 256 px that are mostly of its colour.
    near = np.abs(shown - CLASS_COLOURS[FP][:3]).max(axis=2) < 40
    assert near.sum() / (2 * 256 * 256) == pytest.approx(count, abs=0.05)
    assert shown.shape[0] // 286 == rows and round(shown.shape[1] / 800) == columns


def test_the_longer_side_of_a_tile_fits_its_place(tmp_path):
    for height, width in ((40, 300), (300, 40), (1, 1)):
        write_tile_sheet(tmp_path / "a.png", [tile(TP, height, width)], "title")
        assert pixels(tmp_path / "a.png").shape[:2] == (16 + 2 * 22 + 286 + 22 + 16, 2 * 16 + 3 * 264 - 8)


def batch(number, sources=("alpha", "beta")):
    size = len(sources), 1, 32, 32
    mask = torch.zeros(size)
    mask[..., :16] = 1
    valid = torch.ones(size).bool()
    valid[..., :2, :] = False
    return Batch(torch.zeros(len(sources), 3, 32, 32), mask, 1 - mask, valid, [f"tile_{number}"] * 2, list(sources))


def probabilities(code):
    return torch.nn.functional.one_hot(torch.full((2, 32, 32), code), 4).permute(0, 3, 1, 2).float()


def validate(callback, score, batches=10, code=FN, first=True):
    trainer = SimpleNamespace(
        num_val_batches=[batches],
        is_global_zero=first,
        sanity_checking=False,
        callback_metrics={"valid/score": torch.tensor(score)},
        current_epoch=0,
        global_step=5,
        loggers=[],
    )
    for number in range(batches):
        callback.on_validation_batch_end(trainer, None, probabilities(code), batch(number), number)
    kept = list(callback._tiles)
    callback.on_validation_end(trainer, None)
    return kept


def test_tiles_are_spread_over_the_validation_and_over_the_sources(tmp_path):
    kept = validate(ValidationTiles(tmp_path, "valid/score", 4), 0.5)
    assert [(each.name, each.source) for each in kept] == [
        ("tile_0", "alpha"),
        ("tile_2", "beta"),
        ("tile_5", "alpha"),
        ("tile_7", "beta"),
    ]
    assert (kept[0].predicted[2:] == FN).all() and (kept[0].predicted[:2] == NOT_ASSESSED).all()
    assert (
        (kept[0].true[2:, :16] == FP).all() and (kept[0].true[2:, 16:] == FN).all() and (kept[0].true[:2] == NOT_ASSESSED).all()
    )
    few = validate(ValidationTiles(tmp_path, "valid/score", 4), 0.5, batches=2)
    assert [(each.name, each.source) for each in few] == [("tile_0", "alpha"), ("tile_1", "beta")]
    assert not validate(ValidationTiles(tmp_path / "second", "valid/score"), 0.5, first=False)
    assert not (tmp_path / "second").exists()


def test_the_tiles_of_the_best_validation_are_kept(tmp_path):
    callback = ValidationTiles(tmp_path, "valid/score", 1)
    last, best = (tmp_path / "figures" / f"{name}.png" for name in ("tiles", "tiles_best"))
    validate(callback, 0.5, code=FN)
    assert last.read_bytes() == best.read_bytes()
    before = best.read_bytes()
    resumed = ValidationTiles(tmp_path, "valid/score", 1)
    resumed.load_state_dict(callback.state_dict())
    validate(resumed, 0.4, code=FP)
    assert best.read_bytes() == before != last.read_bytes()
    validate(resumed, 0.6, code=FP)
    assert best.read_bytes() == last.read_bytes()


def test_modules_that_judge_no_masks_have_no_tiles(tmp_path):
    callback = ValidationTiles(tmp_path, "valid/iou")
    trainer = SimpleNamespace(num_val_batches=[1], is_global_zero=True, sanity_checking=False)
    callback.on_validation_batch_end(trainer, None, None, batch(0), 0)
    callback.on_validation_end(trainer, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("start", ["on_train_epoch_start", "on_train_start"], ids=["epoch", "resumed"])
def test_pace_counts_training_and_not_validation(start, monkeypatch):
    now = iter([10.0, 12.0, 50.0, 53.0])  # epoch, batch, end of validation, batch
    monkeypatch.setattr("segassess.training.callbacks.time.perf_counter", lambda: next(now))
    logged = {}
    module = SimpleNamespace(log=lambda name, value, **options: logged.update({name: value}))
    groups = [{"lr": 0.1}]
    trainer = SimpleNamespace(optimizers=[SimpleNamespace(param_groups=groups)])
    pace = Pace()
    getattr(pace, start)(trainer, module)
    for number in range(2):
        pace.on_train_batch_start(trainer, module, batch(number), number)
        pace.on_train_batch_end(trainer, module, None, batch(number), number)
        groups[0]["lr"] /= 2
        if number == 0:
            pace.on_validation_end(trainer, module)
    pace.on_train_epoch_end(trainer, module)
    assert logged == {
        "train/learning_rate": 0.05,
        "train/views_per_s": pytest.approx(4 / 5),
        "train/megapixels_per_s": pytest.approx(4 * 32 * 32 / 1e6 / 5),
    }


def test_a_class_that_does_not_occur_has_no_shares_in_the_confusion_matrix(tmp_path):
    with np.errstate(all="raise"):
        write_confusion_plot(tmp_path / "a.png", np.diag([5, 0, 7, 1]), "title")
    assert pixels(tmp_path / "a.png").std() > 5


def test_a_history_of_other_names_draws_the_panels_it_has(tmp_path):
    write_history_plot(tmp_path / "a.png", [{"epoch": 0, "valid/iou": 0.5, "train/loss": 1.0}, {"epoch": 1, "train/loss": 0.5}])
    write_history_plot(tmp_path / "b.png", [{"epoch": 0}])
    assert pixels(tmp_path / "a.png").std() > 5 > pixels(tmp_path / "b.png").std()


def test_a_sheet_of_what_there_is(tmp_path):
    assert write_sheet(tmp_path) is None
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (500, 200), "red").save(tmp_path / "figures" / "confusion.png")
    path = write_sheet(tmp_path)
    assert path is not None
    assert (pixels(path)[:200, :500] == (255, 0, 0)).all() and (pixels(path)[:200, 520:] == 255).all()
