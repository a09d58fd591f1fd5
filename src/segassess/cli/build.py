"""From config nodes to objects: the only module that calls Hydra's `instantiate`."""

import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import get_class, instantiate
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, ListConfig, OmegaConf

from segassess.data.module import AssessmentData, SamplingSettings
from segassess.data.tiles import TileSet
from segassess.errors import ConfigError, RequestError
from segassess.models.assessor.base import Assessor
from segassess.models.assessor.checkpoint import load_checkpoint
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.loading import load_any
from segassess.training.losses import AssessorLoss, LossWeights
from segassess.training.module import OptimizerFactory, Schedule
from segassess.training.segmenter_module import SegmentationLoss

log = logging.getLogger(__name__)

Weights = TypeVar("Weights", LossWeights, SegmentationLoss)


def plain(node: Any) -> Any:
    """A config node as plain dictionaries, lists and primitives, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig | ListConfig) else node


def as_list(value: Any) -> list[str]:
    """One name or a list of names."""
    items = plain(value)
    return [] if items is None else [items] if isinstance(items, str) else [str(item) for item in items]


def make(node: Any, key: str, **options: Any) -> Any:
    """Instantiate the node at `key`.

    Raises:
        ConfigError: if it cannot be made; names the key.
    """
    try:
        return instantiate(node, **options)
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise ConfigError(f"{key} cannot be set up: {str(cause).splitlines()[0].rstrip('.')}.") from error


# Keys of a `dataset` node that say something of the data, and need not be options of its class.
ABOUT_DATASET = ("name", "made", "held_out", "object", "url", "licence", "recipe", "prepare")


def tileset(node: DictConfig) -> TileSet:
    """The data set of a `dataset` node."""
    result: TileSet = make(_tileset_options(plain(node)), "dataset")
    return result


def _tileset_options(value: Any) -> Any:
    """A `dataset` node, or one within it, without what only describes the data."""
    if not isinstance(value, dict):
        return value
    options = {key: _tileset_options(child) for key, child in value.items()}
    if "_target_" not in options:
        return options
    try:
        taken = inspect.signature(get_class(options["_target_"])).parameters
    except (ImportError, ValueError) as error:
        raise ConfigError(f"dataset._target_ must be a class of data sets, not {options['_target_']!r}.") from error
    return {key: child for key, child in options.items() if key in taken or key not in ABOUT_DATASET}


def data(config: DictConfig, *, sampling: SamplingSettings | None = None, num_workers: int = 0, **options: Any) -> AssessmentData:
    """The data module of a config with the keys dataset, held_out and seed."""
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


def architecture(config: DictConfig) -> tuple[dict[str, Any] | None, dict[str, Any] | None, Path | None]:
    """Specifications of assessor and encoder (None where not given), and the encoder's starting weights."""
    assessor = plain(config.get("assessor"))
    encoder = plain(config.get("encoder"))
    weights = encoder.pop("weights", None) if encoder else None
    return assessor, encoder, None if weights is None else Path(weights)


def new_assessor(assessor: Mapping[str, Any], encoder: Mapping[str, Any], weights: Path | None) -> Assessor:
    """An assessor to be trained, started from public weights where given."""
    model = build_assessor(assessor, encoder)
    if weights is not None:
        report = load_checkpoint(model, weights)
        log.info("%s: %s", weights, report.summary())
    return model


def stored_assessor(config: DictConfig) -> LoadedAssessor:
    """The assessor that the keys checkpoint, assessor, encoder and decoding name; an exported graph runs in onnxruntime."""
    assessor, encoder, _ = architecture(config)
    loaded = load_any(config.checkpoint, assessor=assessor, encoder=encoder, decoding=config.decoding)
    log.info(
        "Assessor %s (%s on %s, %s decoding).",
        config.checkpoint,
        loaded.description.assessor["name"],
        loaded.description.encoder["name"],
        loaded.description.decoding,
    )
    return loaded


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


def device(trainer: DictConfig, *, first: bool = False) -> torch.device:
    """The one device that a `trainer` node names, for work outside of Lightning.

    Args:
        trainer: the node.
        first: take the first one where it names several.

    Raises:
        ConfigError: if it names several.
        RequestError: if it is not there.
    """
    if not first and trainer.devices not in (1, "auto", "1"):
        raise ConfigError(f"This runs on one device; trainer.devices must be 1, not {trainer.devices}.")
    name = str(trainer.accelerator)
    if name == "auto":
        name = "gpu" if torch.cuda.is_available() else "cpu"
    if name == "gpu" and not torch.cuda.is_available():
        raise RequestError("trainer.accelerator=gpu, but PyTorch finds no GPU; use trainer=cpu.")
    return torch.device("cuda" if name == "gpu" else "cpu")


def optimizer(node: DictConfig) -> tuple[OptimizerFactory, Schedule]:
    """Optimizer factory and schedule of an `optimizer` node."""
    factory: OptimizerFactory = make(node.factory, "optimizer.factory")
    try:
        factory([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"optimizer.factory cannot be set up: {error}.") from error
    return factory, Schedule(**plain(node.schedule))


def callbacks(node: DictConfig | None) -> list[L.Callback]:
    """Callbacks of a dictionary of nodes; null entries are dropped."""
    return [make(child, f"callbacks.{name!s}") for name, child in (node or {}).items() if child is not None]


def loggers(node: DictConfig | None) -> list[Logger]:
    """Loggers of a dictionary of nodes; null entries are dropped.

    Raises:
        ConfigError: if a logger needs a package that is not installed, or all runs of a sweep would be one.
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
    """What a W&B run is called where its node leaves it open: by the end of its folder; runs of a sweep are a group.

    Raises:
        ConfigError: in a sweep, if one run is named for all.
    """
    if "group" not in node:
        return {}
    hydra = HydraConfig.get()
    sweeps = hydra.mode == RunMode.MULTIRUN
    if sweeps and (identity := node.get("id") or os.environ.get("WANDB_RUN_ID")):
        raise ConfigError(f"logger.wandb.id or WANDB_RUN_ID is {identity!r} and would make a sweep one run of W&B; unset it.")
    chosen = {"name": _end(node.save_dir)} if node.name is None else {}
    return chosen | ({"group": _end(hydra.sweep.dir)} if sweeps and node.group is None else {})


def _end(folder: str) -> str:
    return "/".join(Path(folder).resolve().parts[-2:])


def trainer(node: DictConfig, *, callbacks: list[L.Callback], **options: Any) -> L.Trainer:
    """Lightning's trainer; a progress bar among the callbacks gives way to `trainer.enable_progress_bar=false`.

    Checkpoints are written if a callback says so; left alone, Lightning would add one of its own.
    """
    _quieten_lightning()
    options.setdefault("enable_checkpointing", any(isinstance(callback, Checkpoint) for callback in callbacks))
    if not node.enable_progress_bar:
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    result: L.Trainer = make(node, "trainer", callbacks=callbacks, **options)
    return result


@contextmanager
def interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Turn the exit that Lightning makes of Ctrl-C back into a KeyboardInterrupt."""
    try:
        yield
    except SystemExit as exit_:
        if trainer.interrupted:
            raise KeyboardInterrupt from exit_
        raise


@contextmanager
def closing_loggers() -> Iterator[None]:
    """End what loggers began within the block, as failed if the block fails.

    Otherwise W&B would write the next training of this process (of a sweep, of another fold) into the same run.
    """
    code = 1
    try:
        yield
        code = 0
    finally:
        if "wandb" in sys.modules:
            sys.modules["wandb"].finish(exit_code=code)


def _quieten_lightning() -> None:
    """Leave out advertisements, hints about what is so on purpose, and deprecations inside Lightning."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", "Experiment logs directory .* exists", ".*isinstance.treespec, LeafSpec.*"):
        warnings.filterwarnings("ignore", message=message)
