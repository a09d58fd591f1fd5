"""Where an interrupted training goes on, and which of its weights are kept."""

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

# In a run's folder: version, git revision and the whole config, see `cli.provenance`.
RUN_RECORD = "run.json"
_ABSENT = object()


def resume_path(path: Path) -> Path:
    """The checkpoint to resume from: a file, or the last one of a run's folder.

    Raises:
        RequestError: if there is none.
    """
    file = path if path.is_file() else path / "checkpoints" / "last.ckpt"
    if not file.is_file():
        raise RequestError(
            f"There is nothing to resume at {path}; give resume= a run's folder with checkpoints/last.ckpt, or that file."
        )
    read_tensors(file)  # says in one sentence what is wrong with a damaged file
    return file


def stored_description(checkpoint: Path) -> dict[str, Any]:
    """What the module that wrote a checkpoint said of itself; empty where it did not."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    description: dict[str, Any] = content.get("hyper_parameters", {}).get("description", {})
    return description


def refuse_other_settings(checkpoint: Path, settings: Mapping[str, Any], max_epochs: int | None) -> None:
    """Refuse to resume a run with settings that it was not started with; `run.json` beside its checkpoints records them.

    Args:
        checkpoint: of the run.
        settings: nested primitives that must be as they were, by key of the config.
        max_epochs: of the resumed training; None or -1 is without end.

    Raises:
        RequestError: names the first key that differs and both values, or how many epochs are done already.
    """
    record = checkpoint.parents[1] / RUN_RECORD
    before: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    run = record.parent if before else checkpoint
    for key, value in _flat(settings):
        old = before
        for part in key.split("."):
            old = old.get(part, _ABSENT) if isinstance(old, dict) else _ABSENT
        if old is not _ABSENT and old != value:
            raise RequestError(
                f"{run} was trained with {key}={old}, not {value}; resume with the settings that it was started with."
            )
    epochs = int(torch.load(checkpoint, map_location="cpu", weights_only=True).get("epoch", -1)) + 1
    if max_epochs not in (None, -1) and epochs > max_epochs:
        raise RequestError(f"{run} has done {epochs} epochs already; trainer.max_epochs must be at least that, not {max_epochs}.")


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@contextmanager
def resumable(folder: Path, resumed: Path | None = None) -> Iterator[None]:
    """Say how to go on when a training in `folder` is interrupted, and what is wrong with a run that cannot be resumed.

    Raises:
        RequestError: if the checkpoint `resumed` does not fit the network, or Lightning refuses it.
    """
    try:
        yield
    except (RuntimeError, MisconfigurationException) as error:
        foreign = isinstance(error, MisconfigurationException) or "loading state_dict" in str(error)
        if resumed is None or not foreign:
            raise
        reason = str(error).strip().splitlines()[0].rstrip(":. ")
        raise RequestError(f"{resumed} cannot be resumed ({reason}); give the settings that it was started with.") from error
    except KeyboardInterrupt:
        if (folder / "checkpoints" / "last.ckpt").is_file():
            log.warning("Interrupted; the same command with resume=%s continues after the last validated epoch.", folder)
        raise


def restore_best(
    trainer: L.Trainer, network: nn.Module, name: str, resumed: Path | None, last: float | None = None
) -> float | None:
    """Put the weights of the best checkpoint of a training, also of the one that it resumed, into a network.

    Args:
        trainer: after `fit`.
        network: to fill.
        name: its name within the LightningModule.
        resumed: checkpoint that the training went on from, or None.
        last: score of the weights that the network has, if they have been validated; it keeps them if none are better.

    Returns:
        The score of the weights that are kept; None where nothing was validated, and the network keeps its last weights.
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
    """Best score and its file, as a checkpoint remembers them.

    Lightning forgets the score when a run goes on in another folder, and would call the first resumed epoch the best.
    """
    states = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    scored = (
        state
        for name, state in states.items()
        if name.startswith("ModelCheckpoint") and state.get("best_model_score") is not None
    )
    state: dict[str, Any] = next(scored, {})
    return state.get("best_model_score"), state.get("best_model_path", "")
