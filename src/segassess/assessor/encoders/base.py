"""The interface behind which image encoders are interchangeable."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class ImageEncoder(nn.Module, ABC):
    """Turns images into an embedding at stride 16 and a few intermediate feature levels.

    Attributes:
        embedding_dim: channels C of the embedding.
        level_dims: channels D_i of each level.
        level_strides: stride of each level relative to the image, in pixels.
        pad_multiple: images must be padded to multiples of this many pixels.
        mean, std: per-channel statistics that the encoder's pretrained weights expect, for images in [0, 1].
    """

    embedding_dim: int
    level_dims: tuple[int, ...]
    level_strides: tuple[int, ...]
    pad_multiple: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @abstractmethod
    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode scaled images (B, 3, h, w), h and w multiples of `pad_multiple`.

        Returns:
            The embedding (B, C, h/16, w/16) and the levels (B, D_i, h/stride_i, w/stride_i).
        """
