"""Programs that run the graph of an ONNX file on the CPU; each is an optional package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.models.export.optional import optional

Runtime: TypeAlias = Literal["onnxruntime", "openvino"]


class RunsGraph(Protocol):
    """An open graph; `properties` is the metadata of its file."""

    properties: Mapping[str, str]

    def run(self, inputs: Mapping[str, NDArray[np.float32]], output: str) -> NDArray[np.float32]:
        """One output of the graph, by the names of its inputs."""


class OnnxRuntime:
    """onnxruntime; raises its own exceptions if the file is damaged."""

    def __init__(self, path: Path, threads: int) -> None:
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.properties: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, inputs: Mapping[str, NDArray[np.float32]], output: str) -> NDArray[np.float32]:
        """See `RunsGraph`."""
        (result,) = self._session.run([output], dict(inputs))
        return np.asarray(result)


class OpenVino:
    """OpenVINO; raises its own exceptions if the file is damaged.

    It is faster by a third where it knows the shape of its inputs beforehand, but compiling takes as long as four windows. So the
    graph is compiled for each shape of squares, which most windows are, and once for all others. Which one computes a window
    does not depend on what came before it, because their numbers differ by rounding.
    """

    KEPT = 4  # shapes of squares

    def __init__(self, path: Path, threads: int) -> None:
        self._core = optional("openvino").Core()
        self._path, self._threads = path, threads
        about = self._core.read_model(path).get_rt_info()
        self.properties: Mapping[str, str] = {
            name: str(each.value) for name, each in (about["framework"] if "framework" in about else {}).items()
        }
        self._compiled: dict[tuple[int, ...] | None, Any] = {}  # by shape of the images; None is any

    def run(self, inputs: Mapping[str, NDArray[np.float32]], output: str) -> NDArray[np.float32]:
        """See `RunsGraph`."""
        shapes = {name: plane.shape for name, plane in inputs.items()}
        first = next(iter(shapes.values()))
        key = first if first[-1] == first[-2] else None
        compiled = self._compiled.pop(key, None) or self._compile(shapes if key else {})
        self._compiled[key] = compiled  # the one that was used last
        while len(self._compiled) > self.KEPT + 1:
            self._compiled.pop(next(iter(self._compiled)))
        return np.array(compiled(dict(inputs))[output])

    def _compile(self, shapes: Mapping[str, tuple[int, ...]]) -> Any:
        model = self._core.read_model(self._path)
        if shapes:
            model.reshape({name: list(shape) for name, shape in shapes.items()})
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        return self._core.compile_model(
            model, "CPU", settings | ({"INFERENCE_NUM_THREADS": self._threads} if self._threads else {})
        )


RUNTIMES: Mapping[Runtime, type[OnnxRuntime] | type[OpenVino]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}
