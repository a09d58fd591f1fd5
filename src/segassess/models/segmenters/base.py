"""The interface of every segmenter network: an image of any size to logits of its mask at the same size."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from segassess.errors import InputError
from segassess.models.assessor.base import pad_to_multiple, resize


@dataclass(frozen=True)
class SegmenterOutput:
    """Mask logits, float (B, 1, H, W), at the image's size; further ones with their own loss only in training mode."""

    logits: Tensor
    auxiliary: tuple[Tensor, ...] = ()


class Segmenter(nn.Module, ABC):
    """A network that turns an image into a mask; it scales, pads to `pad_multiple` px and crops around `_segment`.

    `SIZES` holds every option's value by size, the default size first, so constructors take keywords without defaults. `mean`
    and `std`, per channel of images in [0, 1], are those of the pretrained weights; `store_scaling` keeps them in the state
    dict if the specification does not determine them. `auxiliary_weight` is the factor of each auxiliary loss.
    """

    SIZES: ClassVar[Mapping[str, Mapping[str, Any]]]
    auxiliary_weight: float = 0.0
    pad_multiple: int = 32
    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], *, store_scaling: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=store_scaling)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=store_scaling)

    @abstractmethod
    def _segment(self, image: Tensor) -> SegmenterOutput:
        """Segment scaled and padded images (B, 3, h, w); logits at any stride."""

    def forward(self, image: Tensor) -> SegmenterOutput:
        """Segment float32 images (B, 3, H, W) in [0, 1] of any size; raises InputError for other shapes.

        In training mode, batch normalisation needs a side of more than `pad_multiple` pixels or more than one image.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"An image batch must have the shape (B, 3, H, W), not {tuple(image.shape)}.")
        height, width = image.shape[-2:]
        padded = pad_to_multiple((image - self.mean) / self.std, self.pad_multiple)
        padded_size = (padded.shape[-2], padded.shape[-1])
        output = self._segment(padded)
        logits, *auxiliary = (resize(each, padded_size)[..., :height, :width] for each in (output.logits, *output.auxiliary))
        return SegmenterOutput(logits, tuple(auxiliary))

    @torch.no_grad()
    def probability(self, image: Tensor) -> Tensor:
        """Object probability per pixel, float (B, 1, H, W) in [0, 1], without gradients; call `eval()` first."""
        return cast(SegmenterOutput, self(image)).logits.sigmoid()


def conv_norm_relu(channels_in: int, channels_out: int, kernel: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
