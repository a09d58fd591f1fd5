"""The interface of all image encoders."""

from abc import ABC, abstractmethod

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

    Attributes:
        embedding_dim: channels C of the embedding.
        level_dims: channels D_i of each level.
        level_strides: stride of each level relative to the image, in pixels.
        pad_multiple: images must be padded to multiples of this many pixels.
        any_size_graph: whether a graph traced at one image size holds for all sizes (see `segassess.models.export`).
        mean: per channel of images in [0, 1], as the pretrained weights expect.
        std: per channel, as `mean`.
    """

    embedding_dim: int
    level_dims: tuple[int, ...]
    level_strides: tuple[int, ...]
    pad_multiple: int
    any_size_graph: bool = True
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def extra_stem(self, channels: int) -> nn.Conv2d:
        """A first convolution (B, channels, h, w) for further input channels; its result goes into `forward` as `extra`.

        A convolution over RGB and more channels is the sum of one over each. As a module of its own it leaves the encoder's
        tensors as they are, so public weights fit. It starts at zero: training begins at the pretrained RGB encoder, whose
        weights for RGB would mistake the new channels for brightness.

        Raises:
            ConfigError: if this encoder reads nothing but RGB.
        """
        raise ConfigError(f"The encoder {type(self).__name__} reads only RGB images; choose another encoder=.")

    @abstractmethod
    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode scaled images.

        Args:
            image: float (B, 3, h, w), h and w multiples of `pad_multiple`.
            extra: result of `extra_stem`, added to that of the first convolution.

        Returns:
            The embedding (B, C, h/16, w/16) and the levels (B, D_i, h/stride_i, w/stride_i).
        """
