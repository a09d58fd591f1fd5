"""An ONNX file behind the assessor's interface, so that code written for torch also runs graphs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segassess.errors import ConfigError
from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures
from segassess.models.assessor.checkpoint import LoadReport
from segassess.models.assessor.trained_assessor import Description, LoadedAssessor
from segassess.models.graph_runtimes import Runtime
from segassess.models.onnx_graph import OnnxGraph
from segassess.quality import Decoding


class OnnxAssessor(Assessor):
    """Runs the graph of an ONNX file on the CPU, with torch's number of threads.

    The graph takes image and mask together, so every mask of an image costs a full pass. Logits are the logarithms of its
    probabilities.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self.graph = graph
        self.pad_multiple = graph.metadata.window_multiple

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return image, ()

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        image = features.embedding
        probabilities = self.graph(image.float().cpu().numpy(), mask.float().cpu().numpy())
        return AssessorOutput(torch.from_numpy(probabilities).log().to(mask.device))


def load_onnx(
    path: str | Path,
    *,
    assessor: Mapping[str, Any] | None = None,
    encoder: Mapping[str, Any] | None = None,
    decoding: Decoding | None = None,
    runtime: Runtime = "onnxruntime",
    cache: Path | None = None,
) -> LoadedAssessor:
    """Load an assessor from an ONNX file; takes the arguments of `load_assessor`.

    `runtime` computes it, and keeps what it compiled in the folder `cache`, if given.
    Raises ConfigError if the arguments differ from the file's architecture or decoding, CheckpointError if the file is missing,
    damaged or of another project, RequestError if the runtime is not installed.
    """
    if assessor is not None or encoder is not None:
        raise ConfigError(f"{path} is a graph with a fixed architecture; leave assessor= and encoder= out.")
    graph = OnnxGraph(path, threads=torch.get_num_threads(), runtime=runtime, cache=cache)
    description = Description.from_dict(graph.metadata.description, Path(path))
    if decoding not in (None, description.decoding):
        raise ConfigError(
            f"{path} was exported with decoding={description.decoding}, not {decoding!r}; export it again with that decoding."
        )
    return LoadedAssessor(OnnxAssessor(graph).eval(), description, graph.digest, LoadReport("own", ()))
