"""From config nodes to objects; the only module that calls Hydra's `instantiate`."""

import inspect
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from segassess.errors import ConfigError, RequestError
from segassess.models.assessor.base import Assessor
from segassess.models.assessor.checkpoint import load_checkpoint
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.assessor.turned import TurnedAssessor
from segassess.models.export.backends import load_for
from segassess.raster.urls import is_url

if TYPE_CHECKING:
    from segassess.data.tiles import TileSet

log = logging.getLogger(__name__)


def plain(node: Any) -> Any:
    """A node as plain dictionaries, lists and primitives, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig | ListConfig) else node


def as_list(value: Any) -> list[str]:
    """A name, a list of names or None as a list."""
    items = plain(value)
    return [] if items is None else [items] if isinstance(items, str) else [str(item) for item in items]


def local_folder(path: Any) -> Path:
    """`output_dir` of a script that writes into folders on disk only; RequestError for a URL."""
    if is_url(str(path)):
        raise RequestError(f"output_dir={path} is a URL, and only predict.py writes into buckets; give a folder.")
    return Path(path)


def make(node: Any, key: str, **options: Any) -> Any:
    """Instantiate the node at `key`; a failure is a ConfigError that names the key."""
    try:
        return instantiate(node, **options)
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise ConfigError(f"{key} cannot be set up: {str(cause).splitlines()[0].rstrip('.')}.") from error


# Keys that describe the data, and need not be options of its class.
ABOUT_DATASET = ("name", "made", "held_out", "object", "url", "licence", "recipe", "prepare")


def tileset(node: DictConfig) -> "TileSet":
    """The data set of a `dataset` node."""
    result: TileSet = make(_tileset_options(plain(node)), "dataset")
    return result


def _tileset_options(value: Any) -> Any:
    """The node, and nodes within it, without keys that only describe the data."""
    if not isinstance(value, dict):
        return value
    options = {key: _tileset_options(child) for key, child in value.items()}
    if "_target_" not in options:
        return options
    try:
        taken = inspect.signature(get_class(options["_target_"])).parameters
    except (ImportError, ValueError) as error:
        raise ConfigError(f"dataset._target_ must be the class of a data set, not {options['_target_']!r}.") from error
    return {key: child for key, child in options.items() if key in taken or key not in ABOUT_DATASET}


def architecture(config: DictConfig) -> tuple[dict[str, Any] | None, dict[str, Any] | None, Path | None]:
    """Specifications of assessor and encoder (None if not given), and the encoder's starting weights."""
    assessor = plain(config.get("assessor"))
    encoder = plain(config.get("encoder"))
    weights = encoder.pop("weights", None) if encoder else None
    return assessor, encoder, None if weights is None else Path(weights)


def new_assessor(assessor: Mapping[str, Any], encoder: Mapping[str, Any], weights: Path | None) -> Assessor:
    """An untrained assessor, with public weights if given."""
    model = build_assessor(assessor, encoder)
    if weights is not None:
        what = model.image_encoder.load_public(weights) or load_checkpoint(model, weights).summary()
        log.info("%s: %s", weights, what)
    return model


def stored_assessor(config: DictConfig) -> LoadedAssessor:
    """The assessor of `checkpoint`, computed by `backend`."""
    assessor, encoder, _ = architecture(config)
    backend, graphs = config.get("backend"), Path(config.paths.graphs)
    loaded = load_for(config.checkpoint, backend, graphs, assessor=assessor, encoder=encoder, decoding=config.decoding)
    log.info(
        "Assessor %s (%s on %s, %s decoding).",
        config.checkpoint,
        loaded.description.assessor["name"],
        loaded.description.encoder["name"],
        loaded.description.decoding,
    )
    return in_views(loaded, int(config.get("views", 1)))


def in_views(loaded: LoadedAssessor, count: int) -> LoadedAssessor:
    """The assessor that averages over so many turned views; its digest tells it from the one that does not."""
    if count == 1:
        return loaded
    if not isinstance(loaded.assessor, Assessor):
        raise ConfigError("views must be 1 for an exported graph; give the checkpoint it was made of.")
    return replace(loaded, assessor=TurnedAssessor(loaded.assessor, count).eval(), digest=f"{loaded.digest}x{count}")


def device(trainer: DictConfig, *, first: bool = False) -> torch.device:
    """The one device of a `trainer` node, for work outside Lightning; `first` takes the first of several instead of refusing.

    Raises ConfigError if it names several, RequestError if it is missing.
    """
    if not first and trainer.devices not in (1, "auto", "1"):
        raise ConfigError(f"trainer.devices must be 1, not {trainer.devices}, because this task runs on one device.")
    there, accelerator = torch.cuda.is_available(), str(trainer.accelerator)
    if accelerator == "gpu" and not there:
        raise RequestError("PyTorch finds no GPU for trainer.accelerator=gpu; use trainer=cpu.")
    return torch.device("cuda" if there and accelerator in ("auto", "gpu") else "cpu")
