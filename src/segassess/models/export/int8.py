"""Makes the dense convolutions of an exported graph compute with 8 bits.

Static quantisation of onnxruntime (affine, weights of 7 bits by channel), with the ranges of activations that generated scenes
have. The image encoder, and convolutions of one pixel or of one channel, stay as they are: with 8 bits they lose far more
decisions and save less time.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.errors import ConfigError
from segassess.files import atomic_path
from segassess.models.export.agreement import generated_batch
from segassess.models.export.optional import optional
from segassess.models.onnx_graph import IMAGE, MASK, GraphMetadata

# Generated scenes that tell the ranges, and their side in pixels where the graph takes any.
SCENES, SIDE = 8, 256
# In the names of the image encoder's nodes.
ENCODER = "/image_encoder/"


class _Scenes:
    """What onnxruntime asks for one batch after another."""

    def __init__(self, side: int) -> None:
        images, masks = generated_batch((SCENES, side, side))
        self._batches: Iterator[dict[str, NDArray[np.float32]]] = iter(
            [{IMAGE: images[index : index + 1], MASK: masks[index : index + 1]} for index in range(SCENES)]
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, or None after the last."""
        return next(self._batches, None)


def write_int8(path: Path, graph: Path) -> GraphMetadata:
    """Write the `graph` that `write_onnx` left once more, with dense convolutions of 8 bits, and the same inputs and outputs.

    Raises ConfigError if it has no such convolution, RequestError if a package is missing or the folder cannot be written.
    """
    onnx = optional("onnx")
    quantization: Any = optional("onnxruntime.quantization")
    shapes: Any = optional("onnxruntime.quantization.shape_inference")
    metadata = replace(GraphMetadata.from_properties(_properties(onnx.load(graph)), graph), int8=True)
    with TemporaryDirectory() as folder, atomic_path(path) as beside:
        prepared = Path(folder) / "prepared.onnx"
        shapes.quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        dense = _dense(onnx.load(prepared))
        if not dense:
            raise ConfigError(f"{graph} has no dense convolution, so 8 bits would change nothing; use the graph as it is.")
        quantization.quantize_static(
            str(prepared),
            str(beside),
            _Scenes(metadata.size or SIDE),
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=dense,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # Processors without 8-bit dot products (VNNI) add pairs of products in 16 bits, which weights of 8 bits overflow.
            reduce_range=True,
        )
        model = onnx.load(beside)
        onnx.helper.set_model_props(model, metadata.as_properties())
        onnx.save(model, beside)
    return metadata


def _properties(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _dense(model: Any) -> list[str]:
    """Names of the convolutions with weights (outputs, inputs > 1, height, width), of which height or width is over 1."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        _, inputs, *kernel = weights.get(node.input[1], (0, 0)) if node.op_type == "Conv" else (0, 0)
        if inputs > 1 and max(kernel, default=1) > 1 and ENCODER not in node.name:
            found.append(node.name)
    return found
