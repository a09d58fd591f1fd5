"""Programs that run the graph of an ONNX file on the CPU; each is an optional package."""

import hashlib
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.errors import OutputError, RequestError
from segassess.files import atomic_path, file_digest
from segassess.models.export.optional import optional

log = logging.getLogger(__name__)

Runtime: TypeAlias = Literal["onnxruntime", "openvino"]
_DEVICE = "CPU"


class RunsGraph(Protocol):
    """An open graph; `properties` is the metadata of its file."""

    properties: Mapping[str, str]

    def run(self, inputs: Mapping[str, NDArray[np.float32]], output: str) -> NDArray[np.float32]:
        """One output of the graph, by the names of its inputs."""


class OnnxRuntime:
    """onnxruntime; raises its own exceptions if the file is damaged. It keeps nothing in `cache`."""

    def __init__(self, path: Path, threads: int, cache: Path | None = None) -> None:
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.properties: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, inputs: Mapping[str, NDArray[np.float32]], output: str) -> NDArray[np.float32]:
        """See `RunsGraph`."""
        (result,) = self._session.run([output], dict(inputs))
        return np.asarray(result)


@cache
def _core(openvino: Any) -> Any:
    """The one `Core` of this process: processes with several were seen to end by a segmentation fault.

    Known to others (https://github.com/ultralytics/ultralytics/pull/25864).
    """
    return openvino.Core()


class OpenVino:
    """OpenVINO; raises its own exceptions if the file is damaged.

    It is faster by a third where it knows the shape of its inputs beforehand, but compiling takes as long as four windows. So the
    graph is compiled for each shape of squares, which most windows are, and once for all others. Which one computes a window
    does not depend on what came before it, because their numbers differ by rounding. What is compiled is kept in the folder
    `cache`, if given, which the next start reads instead of compiling again.
    """

    KEPT = 4  # shapes of squares, in memory and in the cache

    def __init__(self, path: Path, threads: int, cache: Path | None = None) -> None:
        self._core = _core(optional("openvino"))
        self._path, self._cache = path, cache
        self._settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            self._settings["INFERENCE_NUM_THREADS"] = threads
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
        kept = self._kept(shapes)
        if kept is not None and kept.is_file():
            try:
                return self._core.import_model(kept.read_bytes(), _DEVICE, self._settings)
            except (OSError, RuntimeError) as error:  # damaged, say
                log.info("%s cannot be read and is made again (%s).", kept, str(error).splitlines()[0])
        model = self._core.read_model(self._path)
        if shapes:
            model.reshape({name: list(shape) for name, shape in shapes.items()})
        compiled = self._core.compile_model(model, _DEVICE, self._settings)
        # A blob is as large as the graph, so odd shapes must not fill the disk.
        if kept is not None and len(list(kept.parent.glob(f"{self._path.stem}_{'?' * 16}.blob"))) <= self.KEPT:
            try:
                with atomic_path(kept) as temporary:
                    temporary.write_bytes(compiled.export_model().getvalue())
            except (OutputError, RequestError) as error:  # costs the next start a second, no more
                log.info("What OpenVINO compiled is not kept: %s", error)
        return compiled

    def _kept(self, shapes: Mapping[str, tuple[int, ...]]) -> Path | None:
        """File of what is compiled for these shapes, by all that it depends on; None without a cache."""
        if self._cache is None:
            return None
        machine = [self._core.get_property(_DEVICE, name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
        depends_on = optional("openvino").__version__, *machine, file_digest(self._path), self._settings, dict(shapes)
        return self._cache / f"{self._path.stem}_{hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]}.blob"


RUNTIMES: Mapping[Runtime, type[OnnxRuntime] | type[OpenVino]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}
