"""Which program computes an assessor's network: torch, or a runtime of ONNX graphs, which are made once and kept."""

import logging
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError
from segassess.models.assessor.trained_assessor import LoadedAssessor, load_assessor
from segassess.models.graph_runtimes import Runtime
from segassess.models.loading import OnnxAssessor, load_onnx
from segassess.models.onnx_graph import ONNX_SUFFIX
from segassess.options.assessor import Backend
from segassess.version import __version__

log = logging.getLogger(__name__)

_INT8 = "_int8"


def load_for(path: str | Path, backend: Backend | None, graphs: Path, **options: Any) -> LoadedAssessor:
    """Load an assessor from any checkpoint or exported graph, to be computed by `backend`; takes `load_assessor`'s arguments.

    None is torch for a checkpoint and onnxruntime for a graph. A graph that a backend needs is written to the folder `graphs`,
    unless it is there from before; those of `_int8` compute the dense convolutions behind the encoder with 8 bits. Raises
    ConfigError if a graph is given and the backend is torch, or one of them has 8 bits and the other has not; RequestError if a
    package is missing; otherwise as `load_assessor` and `load_onnx` do.
    """
    is_graph = Path(path).suffix == ONNX_SUFFIX
    if is_graph and backend == "torch":
        raise ConfigError(f"{path} is a graph, which torch cannot compute; leave backend out, or give its original checkpoint.")
    if is_graph:
        loaded = load_onnx(path, runtime=_runtime(backend), cache=graphs, **options)
        assert isinstance(loaded.assessor, OnnxAssessor)
        int8 = loaded.assessor.graph.metadata.int8
        if backend is not None and int8 != backend.endswith(_INT8):
            raise ConfigError(
                f"{path} {'is' if int8 else 'is not'} a graph of 8 bits; backend={backend} needs another, or its checkpoint."
            )
        return loaded
    loaded = load_assessor(path, **options)
    if backend in (None, "torch"):
        return loaded
    about = loaded.description
    graph = graphs / f"{loaded.digest}_{about.decoding}_{__version__}{ONNX_SUFFIX}"
    # Those without "reduced" overflow on some processors, see `write_int8`.
    small = graph.with_stem(f"{graph.stem}{_INT8}_reduced")
    wanted = small if backend is not None and backend.endswith(_INT8) else graph
    if not wanted.is_file():
        # Imports what most predictions need not wait for.
        from segassess.models.export.int8 import write_int8
        from segassess.models.export.onnx_file import write_onnx

        log.info("Writing the graph that backend=%s computes: %s", backend, wanted)
        if not graph.is_file():
            write_onnx(graph, loaded)
        if wanted == small:
            write_int8(small, graph)
    return load_onnx(wanted, runtime=_runtime(backend), cache=graphs)


def _runtime(backend: Backend | None) -> Runtime:
    return "openvino" if backend is not None and backend.startswith("openvino") else "onnxruntime"
