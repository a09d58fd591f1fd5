"""Load an assessor: the one in the box, or any checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segassess.api.judge import Judge
from segassess.errors import CheckpointError, ConfigError
from segassess.models.loading import load_any
from segassess.predict.scene import OutputSettings
from segassess.predict.scene_job import SceneJudge
from segassess.predict.tiling import Tiling
from segassess.quality import Decoding
from segassess.raster import Rendering

_PACKAGE = Path(__file__).parents[1]
_BOX = Path("checkpoints") / "compact_lite0.safetensors"


def load(
    checkpoint: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    decoding: Decoding | None = None,
    assessor: Mapping[str, Any] | None = None,
    encoder: Mapping[str, Any] | None = None,
    tiling: Tiling | None = None,
    rendering: Rendering | None = None,
    output: OutputSettings | None = None,
    probe_squares: bool = True,
) -> Judge:
    """Load an assessor.

    Args:
        checkpoint: a file that `train.py` left, one of the authors of SegAssess, or an exported graph (`.onnx`), which runs in
            onnxruntime on the CPU; None is the assessor in the box.
        device: where to compute, such as "cpu" or "cuda".
        decoding: "consistent" rules out what a mask makes impossible, "free" does not; None takes what the checkpoint was
            trained with.
        assessor: what it is, such as {"name": "segassess"}; only for checkpoints that do not say so.
        encoder: likewise, such as {"name": "sam_vit_b"}.
        tiling: windows that large images are judged by.
        rendering: how the values of an image become RGB.
        output: how finely errors, objects and review tiles are told apart, and how they are written.
        probe_squares: look for what is missing where a mask has next to nothing, see `predict.probe_squares`.

    Raises:
        CheckpointError: if the file is missing, cannot be read, does not say what it is and was not told, or does not fit.
        ConfigError: if there is no such device or decoding, or a graph is asked to be another one than it is.
        RequestError: for a graph, if onnxruntime is not installed.
    """
    loaded = load_any(_in_the_box() if checkpoint is None else checkpoint, assessor=assessor, encoder=encoder, decoding=decoding)
    settings = {"tiling": tiling, "rendering": rendering, "output": output}
    given = {name: each for name, each in settings.items() if each is not None}
    place = _device(device)
    return Judge(loaded, SceneJudge.of(loaded, place, probe_squares=probe_squares, **given), place)


def _in_the_box() -> Path:
    """Where the assessor in the box lies: in a clone beside `src`, in a wheel in the package."""
    for folder in (_PACKAGE, _PACKAGE.parents[1]):
        if (folder / _BOX).is_file():
            return folder / _BOX
    raise CheckpointError(f"This installation has no {_BOX.name}; give load() the path of a checkpoint, or work in a clone.")


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"device={str(device)!r} cannot be used ({reason}); give cpu, or cuda where there is a GPU.") from error
    return place
