"""Load an assessor: the bundled one, or any checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segassess.api.judge import Judge
from segassess.errors import CheckpointError, ConfigError
from segassess.models.export.backends import load_for
from segassess.options.assessor import Backend
from segassess.predict.scene import OutputSettings
from segassess.predict.scene_job import SceneJudge
from segassess.predict.tiling import Tiling
from segassess.quality import Decoding
from segassess.raster import Rendering

_PACKAGE = Path(__file__).parents[1]
_BUNDLED = Path("checkpoints") / "twin_lite0.safetensors"


def load(
    checkpoint: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    decoding: Decoding | None = None,
    backend: Backend | None = None,
    graphs: str | Path = "graphs",
    assessor: Mapping[str, Any] | None = None,
    encoder: Mapping[str, Any] | None = None,
    tiling: Tiling | None = None,
    rendering: Rendering | None = None,
    output: OutputSettings | None = None,
    probe_squares: bool = True,
) -> Judge:
    """Load an assessor.

    Args:
        checkpoint: a file of `train.py`, one of the authors of SegAssess, or an exported graph (`.onnx`); None is the bundled
            assessor.
        device: where to compute, such as "cpu" or "cuda".
        decoding: "consistent" rules out classes that a mask makes impossible, "free" does not; None is the checkpoint's own.
        backend: what computes the network: "torch", or on the CPU "onnx", "onnx_int8", "openvino" or "openvino_int8" with a graph
            that is made of the checkpoint once; None is torch, and onnxruntime for a graph.
        graphs: folder that keeps such graphs.
        assessor: architecture, such as {"name": "segassess"}, for checkpoints that do not store it.
        encoder: encoder, such as {"name": "sam_vit_b"}, for checkpoints that do not store it.
        tiling: windows of large images.
        rendering: how the values of an image become RGB.
        output: how finely errors, objects and review tiles are told apart, and how they are written.
        probe_squares: look for missing objects where a mask is almost empty, see `predict.probe_squares`.

    Raises CheckpointError if the file is missing, unreadable or of an unknown or another architecture; ConfigError if the device
    or decoding does not exist, or a graph is asked to be another network; RequestError if the backend is not installed.
    """
    path = _bundled() if checkpoint is None else checkpoint
    loaded = load_for(path, backend, Path(graphs), assessor=assessor, encoder=encoder, decoding=decoding)
    settings = {"tiling": tiling, "rendering": rendering, "output": output}
    given = {name: each for name, each in settings.items() if each is not None}
    place = _device(device)
    return Judge(loaded, SceneJudge.of(loaded, place, probe_squares=probe_squares, **given), place)


def _bundled() -> Path:
    """Path of the bundled assessor: beside `src` in a clone, in the package in a wheel."""
    for folder in (_PACKAGE, _PACKAGE.parents[1]):
        if (folder / _BUNDLED).is_file():
            return folder / _BUNDLED
    raise CheckpointError(f"This installation has no {_BUNDLED.name}; give load() the path of a checkpoint, or work in a clone.")


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"device={str(device)!r} cannot be used ({reason}); give cpu, or cuda where there is a GPU.") from error
    return place
