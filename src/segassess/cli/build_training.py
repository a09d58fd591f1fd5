"""From config nodes to all that trains and evaluates with Lightning; `build`, which only judging needs, imports less."""

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from segassess.cli.build import as_list, device, make, plain, tileset
from segassess.data.datamodule import AssessmentData, SamplingSettings
from segassess.errors import ConfigError
from segassess.evaluation.methods import Evaluator
from segassess.files import atomic_path
from segassess.interrupts import raise_if_interrupted
from segassess.training.callbacks import StopWhenInterrupted
from segassess.training.losses import AssessorLoss, LossWeights
from segassess.training.module import EvaluationModule, OptimizerFactory, Schedule
from segassess.training.resuming import RUN_RECORD
from segassess.training.segmenter_module import SegmentationLoss
from segassess.version import __version__

Weights = TypeVar("Weights", LossWeights, SegmentationLoss)


def data(config: DictConfig, *, sampling: SamplingSettings | None = None, num_workers: int = 0, **options: Any) -> AssessmentData:
    """The data module of the keys dataset, held_out and seed."""
    return AssessmentData(
        tileset(config.dataset),
        made=as_list(config.dataset.made),
        held_out=as_list(config.held_out),
        sampling=sampling,
        num_workers=num_workers,
        seed=config.seed,
        **options,
    )


def sampling(node: DictConfig) -> SamplingSettings:
    """Settings of a `sampling` node."""
    elsewhere = ("sources", "num_workers", "networks")
    return SamplingSettings(**{key: value for key, value in plain(node).items() if key not in elsewhere})


def loss(node: DictConfig, decoding: str) -> AssessorLoss:
    """The loss of an assessor, from a `loss` node."""
    options = plain(node)
    weights = _loss_weights(LossWeights, options["weights"])
    choices = {name: options[name] for name in ("class_weights", "dice_over") if name in options}
    return AssessorLoss(weights, decoding=decoding, **choices)  # type: ignore[arg-type]


def segmentation_loss(node: DictConfig) -> SegmentationLoss:
    """The loss of a segmenter, from a `loss` node."""
    return _loss_weights(SegmentationLoss, plain(node)["weights"])


def _loss_weights(kind: type[Weights], weights: dict[str, float]) -> Weights:
    terms = [field.name for field in fields(kind)]
    if set(weights) != set(terms):
        raise ConfigError(f"loss.weights has {', '.join(weights)}, but this task needs {', '.join(terms)}; choose another loss=.")
    return kind(**weights)


def optimizer(node: DictConfig) -> tuple[OptimizerFactory, Schedule]:
    """Optimizer factory and schedule of an `optimizer` node."""
    factory: OptimizerFactory = make(node.factory, "optimizer.factory")
    try:
        factory([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"optimizer.factory cannot be set up: {error}.") from error
    return factory, Schedule(**plain(node.schedule))


def callbacks(node: DictConfig | None) -> list[L.Callback]:
    """Callbacks by name; null entries are dropped."""
    return [make(child, f"callbacks.{name!s}") for name, child in (node or {}).items() if child is not None]


def loggers(node: DictConfig | None) -> list[Logger]:
    """Loggers by name; null entries are dropped.

    Raises ConfigError if a package is missing, or all runs of a sweep would be one.
    """
    made = []
    for name, child in (node or {}).items():
        if child is not None:
            try:
                made.append(make(child, f"logger.{name!s}", **_name_and_group(child)))
            except ConfigError as error:
                cause = error.__cause__ and error.__cause__.__cause__
                if not isinstance(cause, ModuleNotFoundError):
                    raise
                raise ConfigError(f"logger.{name!s} needs the package wandb: pip install 'segassess[wandb]'.") from error
    return made


def _name_and_group(node: DictConfig) -> dict[str, str]:
    """Default name of a W&B run, from its folder, and group of a sweep's runs; refuses one identity for a whole sweep."""
    if "group" not in node:
        return {}
    hydra = HydraConfig.get()
    sweeps = hydra.mode == RunMode.MULTIRUN
    if sweeps and (identity := node.get("id") or os.environ.get("WANDB_RUN_ID")):
        raise ConfigError(f"logger.wandb.id or WANDB_RUN_ID is {identity!r}, which would merge a sweep into one run; unset it.")
    chosen = {"name": _end(node.save_dir)} if node.name is None else {}
    return chosen | ({"group": _end(hydra.sweep.dir)} if sweeps and node.group is None else {})


def _end(folder: str) -> str:
    return "/".join(Path(folder).resolve().parts[-2:])


def trainer(node: DictConfig, *, callbacks: list[L.Callback], **options: Any) -> L.Trainer:
    """Lightning's trainer; `enable_progress_bar=false` drops a progress bar, and only a callback writes checkpoints."""
    _quieten_lightning()
    options.setdefault("enable_checkpointing", any(isinstance(callback, Checkpoint) for callback in callbacks))
    if not node.enable_progress_bar:
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    result: L.Trainer = make(node, "trainer", callbacks=[*callbacks, StopWhenInterrupted()], **options)
    return result


def git_revision(file: Path = Path(__file__)) -> str | None:
    """Commit of the code, "-dirty" if tracked files differ; None outside a clone, or if `file` is not tracked by it."""
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@rank_zero_only
def record_run(folder: Path, config: DictConfig, loggers: Iterable[Logger]) -> None:
    """Log the resolved config, version and git revision, and write `run.json`; checkpoints stay free of folders."""
    record: dict[str, Any] = {"version": __version__, "git_revision": git_revision(), **plain(config)}
    for logger in loggers:
        logger.log_hyperparams(record)
    with atomic_path(folder / RUN_RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")


def recorded_trainer(config: DictConfig, folder: Path) -> L.Trainer:
    """The trainer of a training in `folder`, with its callbacks and loggers, which get the record of the run."""
    made, logs = callbacks(config.callbacks), loggers(config.logger)
    result = trainer(config.trainer, callbacks=made, logger=logs, default_root_dir=folder)
    record_run(folder, config, result.loggers)
    return result


def evaluator(config: DictConfig, data: AssessmentData) -> Evaluator:
    """The evaluator of the keys protocol, trainer, networks and sam."""

    def test(module: EvaluationModule) -> None:
        tester = trainer(config.trainer, logger=False, enable_checkpointing=False, callbacks=[])
        with interruptible(tester):
            tester.test(module, datamodule=data, verbose=False)

    return Evaluator(
        data,
        test,
        reference_protocol=config.protocol == "reference",
        device=device(config.trainer, first=True),
        networks=Path(config.networks),
        sam_checkpoint=None if config.sam.checkpoint is None else Path(config.sam.checkpoint),
        sam_type=config.sam.type,
    )


@contextmanager
def interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Turn what Lightning and others make of Ctrl-C, an exit, an error or nothing, back into a KeyboardInterrupt."""
    try:
        yield
    except SystemExit as exit_:
        if trainer.interrupted:
            raise KeyboardInterrupt from exit_
        raise
    except Exception:
        raise_if_interrupted()
        raise
    raise_if_interrupted()


@contextmanager
def closing_loggers() -> Iterator[None]:
    """Finish W&B's run after the block, as failed if it fails; else the next training of this process would write into it."""
    code = 1
    try:
        yield
        code = 0
    finally:
        if "wandb" in sys.modules:
            sys.modules["wandb"].finish(exit_code=code)


def _quieten_lightning() -> None:
    """Hide advertisements, hints about deliberate choices, and deprecations inside Lightning."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", "Experiment logs directory .* exists", ".*isinstance.treespec, LeafSpec.*"):
        warnings.filterwarnings("ignore", message=message)
