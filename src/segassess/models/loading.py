"""An exported graph behind the assessor's call, so that whatever judges with torch also judges with onnxruntime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segassess.errors import ConfigError
from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures
from segassess.models.assessor.checkpoint import LoadReport
from segassess.models.assessor.trained_assessor import Description, LoadedAssessor, load_assessor
from segassess.models.onnx_graph import ONNX_SUFFIX, OnnxGraph
from segassess.quality import Decoding


class OnnxAssessor(Assessor):
    """Runs the graph of an ONNX file, on the CPU, with as many threads as torch may use.

    The graph takes image and mask together, so encoding only keeps the image, and each mask of it costs a whole pass. It gives
    probabilities; their logarithms are logits of which `quality.probabilities` makes the same probabilities again.

    Args:
        graph: the file's.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self.graph = graph
        self.pad_multiple = graph.metadata.window_multiple

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return image, ()

    def _assess(self, features: ImageFeatures, mask: Tensor, **options: Any) -> AssessorOutput:
        image = features.embedding
        probabilities = self.graph(image.float().cpu().numpy(), mask.float().cpu().numpy())
        return AssessorOutput(torch.from_numpy(probabilities).log().to(mask.device))


def load_onnx(
    path: str | Path,
    *,
    assessor: Mapping[str, Any] | None = None,
    encoder: Mapping[str, Any] | None = None,
    decoding: Decoding | None = None,
) -> LoadedAssessor:
    """Load an assessor from an ONNX file; takes the arguments of `load_assessor`.

    Raises:
        ConfigError: if an architecture or another decoding is asked for than the file has.
        CheckpointError: if the file is missing, damaged, or not a graph of ours.
        RequestError: if onnxruntime is not installed.
    """
    if assessor is not None or encoder is not None:
        raise ConfigError(f"{path} is a whole graph that says what it is; leave assessor= and encoder= out.")
    graph = OnnxGraph(path, threads=torch.get_num_threads())
    description = Description.from_dict(graph.metadata.description, Path(path))
    if decoding not in (None, description.decoding):
        raise ConfigError(
            f"{path} was exported with decoding={description.decoding}, not {decoding!r}; export it anew with that decoding."
        )
    return LoadedAssessor(OnnxAssessor(graph).eval(), description, graph.digest, LoadReport("own", ()))


def load_any(path: str | Path, **options: Any) -> LoadedAssessor:
    """Load an assessor from an ONNX file, or from any checkpoint of `load_assessor`, whose arguments it takes."""
    return (load_onnx if Path(path).suffix == ONNX_SUFFIX else load_assessor)(path, **options)
