"""An exported assessor as an ONNX file: its metadata, and running it with numpy, without torch."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.errors import CheckpointError, InputError, RequestError
from segassess.files import file_digest
from segassess.models.graph_runtimes import RUNTIMES, Runtime
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES

ONNX_SUFFIX = ".onnx"
IMAGE, MASK, PROBABILITIES, CODES = "image", "mask", "quality_probabilities", "quality_codes"
# Keys of the file's metadata. The first holds the same description as that of a `.safetensors` file.
DESCRIPTION_KEY, GRAPH_KEY = "segassess", "segassess_graph"


@dataclass(frozen=True)
class GraphMetadata:
    """The metadata of an ONNX file, enough to judge without torch as `predict.py` does; primitives only.

    `description` is `trained_assessor.Description.as_dict`; `checkpoint` is the start of the origin's SHA-256 (16 hexadecimal
    digits). The graph takes `size` x `size` px only or, if None, sides that are multiples of `pad_multiple` px. `classes` hold
    code, name, label and RGBA colour of the four channels. `int8` says that its convolutions compute with 8 bits.
    """

    description: Mapping[str, Any]
    checkpoint: str
    version: str
    pad_multiple: int
    size: int | None = None
    int8: bool = False
    classes: tuple[Mapping[str, Any], ...] = tuple(
        {"code": code, "name": name, "label": label, "colour": list(colour)}
        for code, (name, label, colour) in enumerate(zip(CLASS_NAMES, CLASS_LABELS, CLASS_COLOURS, strict=True))
    )

    @property
    def window_multiple(self) -> int:
        """Windows are padded to multiples of this many pixels."""
        return self.size or self.pad_multiple

    def as_properties(self) -> dict[str, str]:
        """As metadata of an ONNX file."""
        graph = asdict(self)
        description = graph.pop("description")
        return {DESCRIPTION_KEY: json.dumps(description, sort_keys=True), GRAPH_KEY: json.dumps(graph, sort_keys=True)}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], file: Path) -> "GraphMetadata":
        """Rebuild from `as_properties`; raises CheckpointError if the file has none."""
        if not {DESCRIPTION_KEY, GRAPH_KEY} <= properties.keys():
            raise CheckpointError(f"{file} is not a graph of this project; give a file that export.py wrote.")
        graph = json.loads(properties[GRAPH_KEY])
        return cls(json.loads(properties[DESCRIPTION_KEY]), **{**graph, "classes": tuple(graph["classes"])})


class OnnxGraph:
    """An exported assessor on the CPU; `digest` is the start of the file's SHA-256 (16 hexadecimal digits)."""

    def __init__(self, path: str | Path, threads: int = 0, runtime: Runtime = "onnxruntime", cache: Path | None = None) -> None:
        """Open an `.onnx` file for `threads` per operation; 0 leaves the number to the runtime.

        A runtime that compiles graphs keeps what it compiled in the folder `cache`, if given.
        Raises CheckpointError if the file is missing, damaged or of another project, RequestError if the runtime is not
        installed.
        """
        path = Path(path)
        self._opened = path.absolute(), threads, runtime, None if cache is None else cache.absolute()
        if not path.is_file():
            raise CheckpointError(f"The graph {path} does not exist; check the path, or write one with export.py.")
        try:
            self._running = RUNTIMES[runtime](path, threads, cache)
        except RequestError:
            raise
        except Exception as error:  # the runtimes' exceptions share no class of their own
            raise CheckpointError(f"{path} cannot be read as an ONNX file: it is damaged or of another kind.") from error
        self.metadata = GraphMetadata.from_properties(self._running.properties, path)
        self.digest = file_digest(path)

    def __reduce__(self) -> tuple[Callable[..., "OnnxGraph"], tuple[Path, int, Runtime, Path | None]]:
        """Another process opens the file again, because a runtime's session cannot travel."""
        return _opened_again, self._opened

    def __call__(self, image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """Uncalibrated quality probabilities, float32 (B, 4, H, W), in order TP, FP, TN, FN, with the file's decoding.

        `image` is float32 (B, 3, H, W) in [0, 1], `mask` float32 (B, 1, H, W) in {0, 1}; raises InputError if the graph does
        not take this H x W.
        """
        height, width = image.shape[-2:]
        size, multiple = self.metadata.size, self.metadata.pad_multiple
        if size is not None and (height, width) != (size, size):
            raise InputError(
                f"This graph was exported for {size} x {size} px, not for {height} x {width} px; set tiling.window={size}, or "
                f"export it with onnx.size={max(height, width)}."
            )
        if height % multiple or width % multiple:
            raise InputError(f"This graph takes multiples of {multiple} px, not {height} x {width} px; pad the image.")
        inputs = {IMAGE: np.ascontiguousarray(image), MASK: np.ascontiguousarray(mask)}
        return self._running.run(inputs, PROBABILITIES)


def _opened_again(path: Path, threads: int, runtime: Runtime, cache: Path | None) -> OnnxGraph:
    """A graph in another process, with the threads that its environment allows, as torch has there."""
    return OnnxGraph(path, int(os.environ.get("OMP_NUM_THREADS") or threads), runtime, cache)
