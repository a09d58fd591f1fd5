"""Assess windows of a raster with an exported graph; imports no torch."""

import numpy as np
from numpy.typing import NDArray

from segassess.models.onnx_graph import OnnxGraph


class OnnxNetwork:
    """A graph as `WindowNetwork`; pads as the assessor does that it was exported from.

    The graph takes image and mask together, so encoding only keeps the image, and each mask costs a whole pass.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph

    def encode(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `WindowNetwork`."""
        return images

    def probabilities(self, features: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `WindowNetwork`; raises InputError if the graph does not take windows of this size."""
        height, width = masks.shape[-2:]
        multiple = self.graph.metadata.window_multiple
        padding = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
        # Repeats the last row and column, as `models.assessor.base.pad_to_multiple` does.
        images, padded = (np.pad(planes, padding, mode="edge") for planes in (features, masks))
        return self.graph(images, padded)[..., :height, :width]
