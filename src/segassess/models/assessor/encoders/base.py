"""The interface of all image encoders."""

from abc import ABC, abstractmethod
from pathlib import Path

from torch import Tensor, nn

from segassess.errors import ConfigError


def zero_convolution(like: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A bias-free convolution of all zeros with the geometry and outputs of `like`, for `channels` inputs."""
    convolution = type(like)(
        channels,
        like.out_channels,
        (like.kernel_size[0], like.kernel_size[1]),
        stride=(like.stride[0], like.stride[1]),
        padding=like.padding,  # type: ignore[arg-type]  # what a convolution has stored, it also takes
        dilation=(like.dilation[0], like.dilation[1]),
        bias=False,
    )
    nn.init.zeros_(convolution.weight)
    return convolution


class ImageEncoder(nn.Module, ABC):
    """Turns images into an embedding at stride 16 and a few intermediate feature levels.

    C is `embedding_dim`, D_i are `level_dims`; strides are in pixels of the image, whose sides must be multiples of
    `pad_multiple`. `any_size_graph` tells whether a graph traced at one size holds for all. `mean` and `std`, per channel of
    images in [0, 1], are those of the pretrained weights.
    """

    embedding_dim: int
    level_dims: tuple[int, ...]
    level_strides: tuple[int, ...]
    pad_multiple: int
    any_size_graph: bool = True
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def level_near(self, stride: int) -> int:
        """Index of the level nearest to a stride; of a plain ViT, all at stride 16, the earliest stands in for finer ones."""
        return min(range(len(self.level_strides)), key=lambda level: abs(self.level_strides[level] - stride))

    def extra_stem(self, channels: int) -> nn.Conv2d:
        """A first convolution (B, channels, h, w) for further input channels; its result goes into `forward` as `extra`.

        As a module of its own it leaves the encoder's tensors as they are, so public weights fit. It starts at zero, that is at
        the pretrained RGB encoder. Raises ConfigError if the encoder reads only RGB.
        """
        raise ConfigError(f"The encoder {type(self).__name__} reads only RGB images; choose another encoder=.")

    def load_public(self, path: Path) -> str | None:
        """Start from weights of this encoder alone, in a layout of its own; returns what they are.

        None, and nothing done, for encoders whose weights `assessor.checkpoint` reads. Raises CheckpointError.
        """
        return None

    @abstractmethod
    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode scaled images (B, 3, h, w) into the embedding (B, C, h/16, w/16) and levels (B, D_i, h/stride_i, w/stride_i).

        h and w are multiples of `pad_multiple`; `extra`, from `extra_stem`, is added after the first convolution.
        """
