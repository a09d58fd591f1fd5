"""What is kept of a training, in process; `test_train.py` and `test_segmenter.py` resume whole runs."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf
from torch import nn

from segassess.cli import build_training
from segassess.errors import RequestError
from segassess.training.resuming import refuse_other_settings, restore_best, resumable


def checkpoint(path, level: float, score: float | None = None, best=""):
    weights = {"network.weight": torch.full((1, 1), level), "network.bias": torch.zeros(1), "loss.class_weights": torch.ones(4)}
    states = {"ModelCheckpoint{}": {"best_model_score": score and torch.tensor(score), "best_model_path": str(best)}}
    torch.save({"state_dict": weights, "callbacks": states}, path)
    return path


def trainer(path="", score=None):
    callback = ModelCheckpoint()
    callback.best_model_path, callback.best_model_score = str(path), score and torch.tensor(score)
    return SimpleNamespace(checkpoint_callback=callback, is_global_zero=True, check_val_every_n_epoch=5)


def test_the_best_of_a_resumed_run_may_be_of_its_first_part(tmp_path):
    network = nn.Linear(1, 1)
    before = checkpoint(tmp_path / "before.ckpt", 1.0)
    resumed = checkpoint(tmp_path / "last.ckpt", 2.0, 0.7, before)
    after = checkpoint(tmp_path / "after.ckpt", 3.0)
    assert restore_best(trainer(after, 0.6), network, "network", resumed) == pytest.approx(0.7)
    assert network.weight.item() == 1
    assert restore_best(trainer(after, 0.8), network, "network", resumed) == pytest.approx(0.8)
    assert network.weight.item() == 3
    assert restore_best(trainer(after, 0.6), network, "network", None) == pytest.approx(0.6)


def test_the_last_weights_are_kept_if_they_are_the_best(tmp_path):
    network = nn.Linear(1, 1)
    own, file = network.weight.item(), checkpoint(tmp_path / "best.ckpt", 3.0)
    assert restore_best(trainer(file, 0.6), network, "network", None, last=0.7) == 0.7
    assert restore_best(trainer(), network, "network", None, last=0.1) == 0.1
    assert network.weight.item() == own
    assert restore_best(trainer(file, 0.8), network, "network", None, last=0.7) == pytest.approx(0.8)
    assert network.weight.item() == 3


def test_without_a_validation_the_last_weights_are_kept_and_that_is_said(caplog):
    network = nn.Linear(1, 1)
    last = network.weight.item()
    with caplog.at_level(logging.WARNING):
        assert restore_best(trainer(), network, "network", None) is None
    assert "before its first validation (every 5 epochs)" in caplog.text and network.weight.item() == last


def test_ctrl_c_says_how_to_go_on_where_there_is_something(tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path):
        raise KeyboardInterrupt
    assert not caplog.text
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path):
        raise KeyboardInterrupt
    assert f"resume={tmp_path}" in caplog.text


def test_without_a_checkpoint_callback_lightning_adds_none(tmp_path):
    node = OmegaConf.create(
        {"_target_": "lightning.Trainer", "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    )
    assert build_training.trainer(node, callbacks=[], default_root_dir=tmp_path).checkpoint_callback is None
    own = ModelCheckpoint()
    assert build_training.trainer(node, callbacks=[own], default_root_dir=tmp_path).checkpoint_callback is own


@pytest.fixture
def run(tmp_path):
    """A run of seven epochs, as it records itself."""
    (tmp_path / "checkpoints").mkdir()
    torch.save({"epoch": 6}, tmp_path / "checkpoints" / "last.ckpt")
    record = {"version": "1", "assessor": {"name": "compact"}, "optimizer": {"factory": {"lr": 0.001}}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path / "checkpoints" / "last.ckpt"


def test_a_run_resumes_with_its_own_settings(run):
    settings = {"assessor": {"name": "compact", "of_a_later_version": 1}, "optimizer": {"factory": {"lr": 0.001}}}
    for epochs in (7, 8, -1, None):
        refuse_other_settings(run, settings, epochs)


@pytest.mark.parametrize(
    ("settings", "epochs", "named"),
    [
        ({"assessor": {"name": "concat_unet"}}, 8, "assessor.name=compact"),
        ({"optimizer": {"factory": {"lr": 1e-5}}}, 8, "optimizer.factory.lr=0.001"),
        ({}, 2, "trainer.max_epochs"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(run, settings, epochs, named):
    with pytest.raises(RequestError, match=named):
        refuse_other_settings(run, settings, epochs)


def test_what_lightning_refuses_of_a_resumed_run_is_one_sentence(run):
    for error in (MisconfigurationException("You restored."), RuntimeError("Error(s) in loading state_dict for Net:\n\tkeys")):
        with pytest.raises(RequestError, match="cannot be resumed"), resumable(run.parent, run):
            raise error
    with pytest.raises(RuntimeError, match="another"), resumable(run.parent, run):
        raise RuntimeError("another")
