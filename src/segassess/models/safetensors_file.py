"""Networks as self-describing safetensors files: architecture and origin are in the metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from segassess.errors import CheckpointError
from segassess.files import atomic_path

METADATA_KEY = "segassess"


def write_artifact(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any], *, half: bool = False) -> None:
    """Write tensors and a description (nested primitives) atomically, see `files.atomic_path`; `half` stores float16."""
    stored = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    with atomic_path(path) as beside:
        beside.write_bytes(save(stored, metadata={METADATA_KEY: json.dumps(description, sort_keys=True)}))


def read_metadata(path: Path) -> dict[str, Any] | None:
    """The description in a `.safetensors` file, None in foreign files; raises CheckpointError if the file cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as a safetensors file: it is damaged or another kind of file.") from error
    if METADATA_KEY not in metadata:
        return None
    description: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    return description


def without_pretrained(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The specification with `pretrained` off, because loading fills every tensor."""
    return {**spec, "pretrained": False} if "pretrained" in spec else dict(spec)
