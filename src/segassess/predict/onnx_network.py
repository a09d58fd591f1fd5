"""An exported graph on windows of a raster; imports no torch."""

import numpy as np
from numpy.typing import NDArray

from segassess.models.onnx_graph import OnnxGraph


class OnnxNetwork:
    """A graph as windows are assessed by it, see `predict.windows.WindowNetwork`; pads as the assessor does it was made from.

    The graph takes image and mask together, so encoding only keeps the image, and each mask of it costs a whole pass.

    Args:
        graph: the exported assessor.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph

    def encode(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images, float32 (B, 3, h, w) in [0, 1]."""
        return images

    def probabilities(self, features: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality probabilities float32 (B, 4, h, w) of masks, float32 (B, 1, h, w) in {0, 1}, of images.

        Raises:
            InputError: if the graph does not take windows of this size.
        """
        height, width = masks.shape[-2:]
        multiple = self.graph.metadata.window_multiple
        padding = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
        # The last row and column again, see `models.assessor.base.pad_to_multiple`.
        images, padded = (np.pad(planes, padding, mode="edge") for planes in (features, masks))
        return self.graph(images, padded)[..., :height, :width]
