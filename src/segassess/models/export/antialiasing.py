"""Antialiased bilinear resizing as ONNX operators: one matrix of triangle weights per axis.

torch's exporter lacks it, and onnxruntime (1.32) computes something else for `Resize(antialias=1)` when it shrinks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_OPERATOR = "aten::_upsample_bilinear2d_aa"
# From this version of ONNX's operators on; all that `onnx_file` allows.
_OPSET = 18
_INT64, _FLOAT = 7, 1


@contextmanager
def antialiased_resizing() -> Iterator[None]:
    """Teach torch's exporter the antialiased `assessor.base.resize` for the length of the block."""
    torch.onnx.register_custom_op_symbolic(_OPERATOR, _resized, _OPSET)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic(_OPERATOR, _OPSET)  # type: ignore[attr-defined]


def _resized(graph: Any, tensor: Any, size: Any, align_corners: Any, *scales: Any) -> Any:
    """(B, C, h, w) -> (B, C, *size)."""
    height, width = (_weights(graph, graph.op("Shape", tensor, start_i=2 + axis, end_i=3 + axis), size, axis) for axis in (0, 1))
    return graph.op("MatMul", graph.op("MatMul", height, tensor), graph.op("Transpose", width, perm_i=[1, 0]))


def _weights(graph: Any, length: Any, size: Any, axis: int) -> Any:
    """(size[axis], length): weight of each old pixel in each new one; rows sum to 1.

    A triangle around the new pixel's centre reaches one new pixel to either side when shrinking, else one old pixel.
    """

    def constant(value: float) -> Any:
        return graph.op("Constant", value_t=torch.tensor([value], dtype=torch.float32))

    def index(value: int) -> Any:
        return graph.op("Constant", value_t=torch.tensor([value]))

    def centres(number: Any) -> Any:
        scalar = graph.op("Squeeze", number, index(0))
        zero, one = (graph.op("Constant", value_t=torch.tensor(value)) for value in (0, 1))
        return graph.op("Add", graph.op("Cast", graph.op("Range", zero, scalar, one), to_i=_FLOAT), constant(0.5))

    wanted = graph.op("Gather", graph.op("Cast", size, to_i=_INT64), index(axis))
    ratio = graph.op("Div", graph.op("Cast", length, to_i=_FLOAT), graph.op("Cast", wanted, to_i=_FLOAT))
    old = graph.op("Unsqueeze", centres(length), index(0))  # (1, length)
    new = graph.op("Unsqueeze", graph.op("Mul", centres(wanted), ratio), index(1))  # (size, 1), in old pixels
    distance = graph.op("Abs", graph.op("Sub", old, new))
    reach = graph.op("Max", ratio, constant(1))
    triangle = graph.op("Relu", graph.op("Sub", constant(1), graph.op("Div", distance, reach)))
    return graph.op("Div", triangle, graph.op("ReduceSum", triangle, index(1), keepdims_i=1))
