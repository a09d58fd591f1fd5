"""An exported assessor as an ONNX file: what it says of itself, and running it. Needs numpy and onnxruntime, not torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.errors import CheckpointError, InputError
from segassess.files import file_digest
from segassess.models.export.optional import optional
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES

ONNX_SUFFIX = ".onnx"
IMAGE, MASK, PROBABILITIES, CODES = "image", "mask", "quality_probabilities", "quality_codes"
# Keys of the file's metadata. The first holds the same description as that of a `.safetensors` file.
DESCRIPTION_KEY, GRAPH_KEY = "segassess", "segassess_graph"


@dataclass(frozen=True)
class GraphMetadata:
    """What an ONNX file says of itself, so that a process without torch can judge as `predict.py` does; primitives only.

    Attributes:
        description: of the assessor, see `assessor.artifact.Description.as_dict`: decoding, calibration and cuts among it.
        checkpoint: first 16 hexadecimal digits of the SHA-256 of the checkpoint it was made from.
        version: of segassess.
        pad_multiple: height and width of what the graph is given are multiples of this many pixels.
        size: height and width that the graph takes, if it takes only one; None: any multiple of `pad_multiple`.
        classes: codes, names, meanings and colours (RGBA) of the four channels of the result.
    """

    description: Mapping[str, Any]
    checkpoint: str
    version: str
    pad_multiple: int
    size: int | None = None
    classes: tuple[Mapping[str, Any], ...] = tuple(
        {"code": code, "name": name, "label": label, "colour": list(colour)}
        for code, (name, label, colour) in enumerate(zip(CLASS_NAMES, CLASS_LABELS, CLASS_COLOURS, strict=True))
    )

    @property
    def window_multiple(self) -> int:
        """What windows are padded to multiples of: the one size of a graph that has but one."""
        return self.size or self.pad_multiple

    def as_properties(self) -> dict[str, str]:
        """As metadata of an ONNX file."""
        graph = asdict(self)
        description = graph.pop("description")
        return {DESCRIPTION_KEY: json.dumps(description, sort_keys=True), GRAPH_KEY: json.dumps(graph, sort_keys=True)}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], file: Path) -> "GraphMetadata":
        """Rebuild from `as_properties`.

        Raises:
            CheckpointError: if it is not there.
        """
        if not {DESCRIPTION_KEY, GRAPH_KEY} <= properties.keys():
            raise CheckpointError(f"{file} is not a graph of this project; give a file that export.py wrote.")
        graph = json.loads(properties[GRAPH_KEY])
        return cls(json.loads(properties[DESCRIPTION_KEY]), **{**graph, "classes": tuple(graph["classes"])})


class OnnxGraph:
    """An exported assessor, ready to run on the CPU.

    Attributes:
        metadata: what it says of itself.
        digest: first 16 hexadecimal digits of the file's SHA-256.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        """Open a file.

        Args:
            path: the `.onnx` file.
            threads: that one operation may use; 0 leaves it to onnxruntime.

        Raises:
            CheckpointError: if the file is missing, damaged, or not a graph of ours.
            RequestError: if onnxruntime is not installed.
        """
        path = Path(path)
        runtime = optional("onnxruntime")
        if not path.is_file():
            raise CheckpointError(f"The graph {path} does not exist; check the path, or write one with export.py.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no class of their own
            raise CheckpointError(f"{path} cannot be read as an ONNX file: it is damaged or of another kind.") from error
        self.metadata = GraphMetadata.from_properties(self._session.get_modelmeta().custom_metadata_map, path)
        self.digest = file_digest(path)

    def __call__(self, image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality probabilities, not calibrated, with the file's decoding.

        Args:
            image: float32 (B, 3, H, W) in [0, 1]; H and W are multiples of `metadata.pad_multiple`, or `metadata.size`.
            mask: float32 (B, 1, H, W) in {0, 1}.

        Returns:
            float32 (B, 4, H, W) in [0, 1], channels TP, FP, TN, FN, summing to 1 over them.

        Raises:
            InputError: if the graph does not take this size.
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
        (probabilities,) = self._session.run([PROBABILITIES], inputs)
        result: NDArray[np.float32] = probabilities
        return result
