"""A trained assessor as one self-describing file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segassess.errors import CheckpointError, ConfigError
from segassess.files import file_digest
from segassess.models.assessor.base import Assessor
from segassess.models.assessor.checkpoint import SAFETENSORS_SUFFIX, LoadReport, canonical_names, load_weights, read_tensors
from segassess.models.assessor.compositions import build_assessor
from segassess.models.calibration import Calibration
from segassess.models.safetensors_file import read_metadata, without_pretrained, write_artifact
from segassess.quality import DECODINGS, Decoding

# In a folder in the layout of Hugging Face, see `segassess.models.export.huggingface`.
MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class Description:
    """The description stored in a checkpoint; primitives only.

    Specifications of assessor and encoder are those of `compositions.build_assessor`; `training` is the origin (data set,
    sources, seed, version); `calibration` is the identity if none was fitted.
    """

    assessor: Mapping[str, Any]
    encoder: Mapping[str, Any]
    decoding: Decoding
    training: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries."""
        return {
            "assessor": dict(self.assessor),
            "encoder": dict(self.encoder),
            "decoding": self.decoding,
            "training": dict(self.training),
            "calibration": self.calibration.as_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], file: Path) -> "Description":
        """Rebuild from `as_dict`; raises CheckpointError if a needed key is missing or the calibration is invalid."""
        if not {"assessor", "encoder", "decoding"} <= content.keys() or content["decoding"] not in DECODINGS:
            raise CheckpointError(f"{file} does not describe an assessor; give the assessor= and encoder= it was trained with.")
        try:
            # Older files have no calibration.
            calibration = Calibration.from_dict(content.get("calibration", {}))
        except (AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{file} has an invalid calibration ({error}); calibrate or train it again.") from error
        return cls(content["assessor"], content["encoder"], content["decoding"], content.get("training", {}), calibration)


@dataclass(frozen=True)
class LoadedAssessor:
    """An assessor in evaluation mode on the CPU; `digest` is the start of the file's SHA-256 (16 hexadecimal digits)."""

    assessor: Assessor
    description: Description
    digest: str
    report: LoadReport


def save_assessor(path: Path, assessor: nn.Module, description: Description, *, half: bool = False) -> None:
    """Write an assessor to a `.safetensors` file; `half` stores floating-point tensors as float16."""
    write_artifact(path, assessor.state_dict(), description.as_dict(), half=half)


def with_mean_weights(assessors: Sequence[Assessor]) -> Assessor:
    """The first of assessors of one architecture, with the mean of their weights; whole numbers stay those of the first.

    Meant for stages of one training, as in arXiv 2109.01903.
    """
    first, *others = (assessor.state_dict() for assessor in assessors)
    with torch.no_grad():
        for name, value in first.items():
            if value.is_floating_point():
                value.copy_(torch.stack([value, *(other[name] for other in others)]).mean(0))
    return assessors[0]


def read_description(path: Path) -> Description | None:
    """A checkpoint's description, None for foreign layouts; raises CheckpointError if the file cannot be read."""
    if path.suffix == SAFETENSORS_SUFFIX:
        metadata = read_metadata(path)
        return None if metadata is None else Description.from_dict(metadata, path)
    if path.suffix != ".ckpt":
        return None
    read_tensors(path)  # raises a readable error for a damaged file
    content = torch.load(path, map_location="cpu", weights_only=True)
    description = content.get("hyper_parameters", {}).get("description") if isinstance(content, Mapping) else None
    return None if description is None else Description.from_dict(description, path)


def checkpoint_file(path: str | Path) -> Path:
    """The file itself, or that of a folder in the layout of Hugging Face; raises CheckpointError if there is none."""
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist; check the path, or train one with train.py.")
    return path


def load_assessor(
    path: str | Path,
    *,
    assessor: Mapping[str, Any] | None = None,
    encoder: Mapping[str, Any] | None = None,
    decoding: Decoding | None = None,
) -> LoadedAssessor:
    """Load our `.safetensors` or `.ckpt`, a folder with `model.safetensors`, or a checkpoint of the reference's authors.

    The specifications and the decoding replace the checkpoint's; without either, decoding is "consistent". Raises ConfigError
    for an unknown decoding, CheckpointError if the file is unreadable, does not fit, or has no description and none was given.
    """
    if decoding not in (None, *DECODINGS):
        raise ConfigError(f"decoding must be one of {', '.join(DECODINGS)}, not {decoding!r}.")
    path = checkpoint_file(path)
    own = read_description(path)
    tensors = read_tensors(path)
    if own is None and (assessor is None or encoder is None):
        raise CheckpointError(
            f"{path} has no description of its network; give assessor= and encoder= (such as segassess and sam_vit_b)."
        )
    given: dict[str, Any] = {"assessor": assessor, "encoder": encoder, "decoding": decoding}
    chosen = replace(
        own or Description({}, {}, "consistent"), **{name: value for name, value in given.items() if value is not None}
    )
    model = build_assessor(chosen.assessor, without_pretrained(chosen.encoder))
    report = load_weights(model, model.completed(canonical_names(tensors)), "own" if own else None, file=path)
    # Only a whole model can assess; SAM's own weights are a start for training.
    if random := [name for name in report.missing if name in dict(model.named_parameters())]:
        raise CheckpointError(
            f"{path} holds only a part of an assessor (first missing: {random[0]}); "
            "give a trained assessor, or start a training from it with encoder.weights=."
        )
    return LoadedAssessor(model.eval(), chosen, file_digest(path), report)
