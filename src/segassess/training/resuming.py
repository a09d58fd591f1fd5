"""Resume an interrupted training, and restore its best weights."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from segassess.errors import RequestError
from segassess.models.assessor.checkpoint import load_weights, read_tensors

log = logging.getLogger(__name__)

RUN_RECORD = "run.json"  # version, git revision and config of a run; see `cli.build_training.record_run`
_ABSENT = object()


def resume_path(path: Path) -> Path:
    """The checkpoint to resume from: a file, or the last one of a run's folder; RequestError if there is none."""
    file = path if path.is_file() else path / "checkpoints" / "last.ckpt"
    if not file.is_file():
        raise RequestError(
            f"There is nothing to resume at {path}; give resume= a run's folder with checkpoints/last.ckpt, or that file."
        )
    read_tensors(file)  # says in one sentence what is wrong with a damaged file
    return file


def stored_description(checkpoint: Path) -> dict[str, Any]:
    """The `description` in a checkpoint; empty if there is none."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    description: dict[str, Any] = content.get("hyper_parameters", {}).get("description", {})
    return description


def refuse_other_settings(checkpoint: Path, settings: Mapping[str, Any], max_epochs: int | None) -> None:
    """Raise RequestError if settings (nested, by config key) differ from the run's `run.json`, or `max_epochs` are already done.

    None or -1 for `max_epochs` sets no limit.
    """
    record = checkpoint.parents[1] / RUN_RECORD
    before: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    run = record.parent if before else checkpoint
    for key, value in _flat(settings):
        old = before
        for part in key.split("."):
            old = old.get(part, _ABSENT) if isinstance(old, dict) else _ABSENT
        if old is not _ABSENT and old != value:
            raise RequestError(f"{run} was trained with {key}={old}, not {value}; resume it with its original settings.")
    epochs = int(torch.load(checkpoint, map_location="cpu", weights_only=True).get("epoch", -1)) + 1
    if max_epochs not in (None, -1) and epochs > max_epochs:
        raise RequestError(
            f"{run} has already done {epochs} epochs; trainer.max_epochs must be at least {epochs}, not {max_epochs}."
        )


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@contextmanager
def resumable(folder: Path, resumed: Path | None = None) -> Iterator[None]:
    """Say how to resume when a training in `folder` is interrupted; RequestError if `resumed` does not fit the network."""
    try:
        yield
    except (RuntimeError, MisconfigurationException) as error:
        foreign = isinstance(error, MisconfigurationException) or "loading state_dict" in str(error)
        if resumed is None or not foreign:
            raise
        reason = str(error).strip().splitlines()[0].rstrip(":. ")
        raise RequestError(f"{resumed} cannot be resumed ({reason}); use its original settings.") from error
    except KeyboardInterrupt:
        if (folder / "checkpoints" / "last.ckpt").is_file():
            log.warning("Interrupted; the same command with resume=%s continues after the last validated epoch.", folder)
        raise


def restore_best(
    trainer: L.Trainer, network: nn.Module, name: str, resumed: Path | None, last: float | None = None
) -> float | None:
    """Load the best weights of a training, or of the one it resumed from checkpoint `resumed`, into `network`.

    `name` is the network's name in the LightningModule; `last` is the score of its present weights, which it keeps if none are
    better. Returns the score of the kept weights; None if nothing was validated and the network keeps its last weights.
    """
    callback: Any = trainer.checkpoint_callback
    candidates = [_best_of_run(resumed)] if resumed else []
    if isinstance(callback, ModelCheckpoint):
        candidates.append((callback.best_model_score, callback.best_model_path))
    scored = [(float(score), path) for score, path in candidates if score is not None and Path(path).is_file()]
    if last is not None and all(score <= last for score, _ in scored):
        return last
    if not scored:
        if callback is not None and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False):
            every = trainer.check_val_every_n_epoch
            log.warning("Training ended before its first validation (every %s epochs): the last weights are kept.", every)
        return None
    score, path = max(scored)
    tensors = {key.removeprefix(f"{name}."): value for key, value in read_tensors(path).items() if key.startswith(f"{name}.")}
    load_weights(network, tensors, "own", file=path)
    return score


def _best_of_run(checkpoint: Path) -> tuple[torch.Tensor | None, str]:
    """Best score and its file, from a checkpoint; Lightning forgets the score when a run resumes in another folder."""
    states = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    scored = (
        state
        for name, state in states.items()
        if name.startswith("ModelCheckpoint") and state.get("best_model_score") is not None
    )
    state: dict[str, Any] = next(scored, {})
    return state.get("best_model_score"), state.get("best_model_path", "")
