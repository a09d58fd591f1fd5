"""A trained segmenter as one self-describing file, including the images it has seen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segassess.errors import CheckpointError
from segassess.files import file_digest
from segassess.models.assessor.checkpoint import SAFETENSORS_SUFFIX, load_weights, read_tensors
from segassess.models.safetensors_file import read_metadata, without_pretrained, write_artifact
from segassess.models.segmenters.architectures import build_segmenter
from segassess.models.segmenters.base import Segmenter


@dataclass(frozen=True)
class SegmenterDescription:
    """The description stored in a segmenter's file; primitives only.

    `segmenter` is the specification for `architectures.build_segmenter`, `threshold` in (0, 1). `trained_on` and `selected_on`
    are keys of tiles (see `data.tiles.Tile`) that it learned from and that its checkpoint was chosen on. `training` is its
    origin: data set, seed, version, settings, metrics.
    """

    segmenter: Mapping[str, Any]
    threshold: float
    trained_on: tuple[str, ...] = ()
    selected_on: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The architecture's name."""
        return str(self.segmenter["name"])


@dataclass(frozen=True)
class StoredSegmenter:
    """A segmenter from a file: the network in evaluation mode on the CPU, and 16 hexadecimal digits of the file's SHA-256."""

    segmenter: Segmenter
    description: SegmenterDescription
    digest: str
    path: Path


def save_segmenter(path: Path, segmenter: Segmenter, description: SegmenterDescription) -> None:
    """Write a segmenter to a `.safetensors` file; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_artifact(path, segmenter.state_dict(), asdict(description))


def read_description(path: Path) -> SegmenterDescription:
    """Read the description of a segmenter's file; raises CheckpointError if it is missing or not of this project."""
    if not path.is_file():
        raise CheckpointError(f"The segmenter {path} does not exist; train one with train.py task=segmenter.")
    content = read_metadata(path) if path.suffix == SAFETENSORS_SUFFIX else None
    if content is None or not {"segmenter", "threshold", "trained_on", "selected_on"} <= content.keys():
        raise CheckpointError(f"{path} is not a segmenter of this project; give a .safetensors file of train.py task=segmenter.")
    return SegmenterDescription(
        content["segmenter"],
        float(content["threshold"]),
        tuple(content["trained_on"]),
        tuple(content["selected_on"]),
        content.get("training", {}),
    )


def load_segmenter(path: str | Path) -> StoredSegmenter:
    """Load a segmenter; raises CheckpointError if it is missing, not of this project, or unlike its own description."""
    path = Path(path)
    description = read_description(path)
    segmenter = build_segmenter(without_pretrained(description.segmenter))
    load_weights(segmenter, read_tensors(path), "own", file=path)
    return StoredSegmenter(segmenter.eval().requires_grad_(False), description, file_digest(path), path)
