"""An assessor as a folder in Hugging Face's layout: `model.safetensors`, `config.json` and a model card."""

import json
import re
from pathlib import Path
from typing import Any

import torch

from segassess.errors import CheckpointError
from segassess.files import atomic_path
from segassess.models.assessor.trained_assessor import MODEL_FILE, LoadedAssessor, load_assessor, save_assessor
from segassess.models.export.model_card import ModelCard, generated_card
from segassess.models.export.optional import optional
from segassess.version import __version__

CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
# Keys of config.json beside the description.
_FRAME = ("model_type", "library_version")


def save_pretrained(folder: str | Path, loaded: LoadedAssessor, card: ModelCard | None = None) -> None:
    """Write the folder and replace files of the same names; raises RequestError if it cannot be written."""
    folder = Path(folder)
    card = card or generated_card(loaded, folder.resolve().name)
    with atomic_path(folder / MODEL_FILE) as beside:
        save_assessor(beside, loaded.assessor, loaded.description, half=_fits_half(loaded))
    config = {"model_type": "segassess", "library_version": __version__, **loaded.description.as_dict()}
    for name, text in (
        (CONFIG_FILE, json.dumps(config, indent=2, sort_keys=True) + "\n"),
        (CARD_FILE, card.markdown(loaded, folder.name)),
    ):
        with atomic_path(folder / name) as beside:
            beside.write_text(text, encoding="utf-8")


def from_pretrained(place: str | Path) -> LoadedAssessor:
    """Load an assessor from such a folder, or from `owner/name` on the Hugging Face Hub.

    Raises CheckpointError if neither exists or `config.json` contradicts the weights, RequestError if `huggingface_hub` is
    needed and not installed.
    """
    folder = Path(place)
    if not folder.is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", str(place)):
        folder = _download(str(place))
    loaded = load_assessor(folder)
    config = folder / CONFIG_FILE
    if config.is_file():
        stated: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
        described = json.loads(json.dumps(loaded.description.as_dict()))
        if {key: value for key, value in stated.items() if key not in _FRAME} != described:
            raise CheckpointError(
                f"{config} describes another assessor than {MODEL_FILE} beside it; export both again with export.py."
            )
    return loaded


def _download(repository: str) -> Path:
    hub = optional("huggingface_hub")
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=[MODEL_FILE, CONFIG_FILE, CARD_FILE]))
    except Exception as error:  # no network, no repository, no access: its exceptions have many bases
        raise CheckpointError(
            f"{repository} is no folder and the Hugging Face Hub does not give it ({type(error).__name__}); check the name."
        ) from error


def _fits_half(loaded: LoadedAssessor) -> bool:
    """Whether float16 holds the weights without loss, as it does when they were stored so."""
    tensors = [tensor for tensor in loaded.assessor.state_dict().values() if tensor.is_floating_point()]
    return all(torch.equal(tensor.half().to(tensor.dtype), tensor) for tensor in tensors)
