"""The interface of every assessor: encode an image once, then assess any number of masks of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.errors import InputError
from segassess.models.assessor.encoders.base import ImageEncoder


@dataclass(frozen=True)
class ImageFeatures:
    """An image encoder's features of a batch of padded images.

    `embedding` is float (B, C, h/16, w/16); `levels` are intermediate maps, float (B, D_i, h_i, w_i), early to late; `size` is
    (H, W) in pixels before padding, `padded_size` (h, w) after it.
    """

    embedding: Tensor
    levels: tuple[Tensor, ...]
    size: tuple[int, int]
    padded_size: tuple[int, int]

    def expand(self, masks: int) -> Self:
        """Repeat the features of ONE image (B=1) as views for `masks` masks, without copying memory."""
        views: dict[str, Any] = {
            name: value.expand(masks, -1, -1, -1) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, levels=tuple(level.expand(masks, -1, -1, -1) for level in self.levels), **views)


@dataclass(frozen=True)
class AssessorOutput:
    """Logits of a batch of masks, float, at the size (H, W) of the image; None without the branch.

    Four channels TP, FP, TN, FN: `quality_logits`, and before the edge branch `coarse_logits`, the sum of `sam_logits` and
    `hq_logits`. One channel: `edge_logits`, the truth's boundary, and `object_logits`, the truth estimated from the image alone.
    """

    quality_logits: Tensor
    edge_logits: Tensor | None = None
    coarse_logits: Tensor | None = None
    sam_logits: Tensor | None = None
    hq_logits: Tensor | None = None
    object_logits: Tensor | None = None

    def crop(self, height: int, width: int) -> Self:
        """Cut bottom and right padding off every map."""
        cut = {name: value[..., :height, :width] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **cut)


def pad_to_multiple(tensor: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) at the bottom and right to multiples of `multiple`, repeating the last row and column."""
    height, width = tensor.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if bottom == 0 and right == 0:
        return tensor
    return F.pad(tensor, (0, right, 0, bottom), mode="replicate")


class Assessor(nn.Module, ABC):
    """A network that maps an image and a mask to a quality map.

    Subclasses implement `_assess`, and `_encode` if they do more than `_take` an encoder, on padded tensors; this class pads to
    multiples of `pad_multiple` pixels and crops.
    """

    pad_multiple: int = 1
    image_encoder: ImageEncoder
    mean: Tensor
    std: Tensor

    def _take(self, encoder: ImageEncoder, *, scaling: bool = True) -> None:
        """Keep the encoder, and mean and deviation of the images that its weights expect; without `scaling` 0 and 1."""
        self.image_encoder = encoder
        mean, std = (encoder.mean, encoder.std) if scaling else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode padded images (B, 3, h, w) in [0, 1] into (embedding, levels); see `ImageFeatures`."""
        embedding, levels = self.image_encoder((image - self.mean) / self.std)
        return embedding, levels

    @abstractmethod
    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """Assess padded masks (B, 1, h, w) in {0, 1}; logits at (h, w)."""

    def completed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of a checkpoint by canonical name, with those of parts that it lacks, if they change nothing.

        Those of inputs that this one does not read are left out.
        """
        return tensors

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Encode images, float32 (B, 3, H, W) in [0, 1], once for any number of masks; raises InputError for other shapes."""
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"An image batch must have the shape (B, 3, H, W), not {tuple(image.shape)}.")
        padded = pad_to_multiple(image, self.pad_multiple)
        embedding, levels = self._encode(padded)
        height, width = image.shape[-2:]
        return ImageFeatures(embedding, levels, (height, width), (padded.shape[-2], padded.shape[-1]))

    def assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """Assess masks, float (B, 1, H, W) in {0, 1}, of B images or ONE; raises InputError if size or number differ."""
        if mask.ndim != 4 or mask.shape[1] != 1 or tuple(mask.shape[-2:]) != features.size:
            wanted = f"(B, 1, {features.size[0]}, {features.size[1]})"
            raise InputError(f"A mask batch must have the shape {wanted}, not {tuple(mask.shape)}.")
        images, masks = features.embedding.shape[0], mask.shape[0]
        if images not in (1, masks):
            raise InputError(f"A batch of {masks} masks needs 1 or {masks} images, not {images}.")
        if images != masks:
            features = features.expand(masks)
        padded = pad_to_multiple(mask, self.pad_multiple)
        return self._assess(features, padded).crop(*features.size)

    def forward(self, image: Tensor, mask: Tensor) -> AssessorOutput:
        """Encode and assess in one call; see `encode_image` and `assess`."""
        return self.assess(self.encode_image(image), mask)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of (B, C, H, W) over each pixel's channels (SAM's `LayerNorm2d`), on a channels-last view."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def resize(tensor: Tensor, size: tuple[int, int], *, antialias: bool = False) -> Tensor:
    """Bilinear resize of (B, C, h, w) to `size` (align_corners=False); the same tensor if nothing changes."""
    if tuple(tensor.shape[-2:]) == size:
        return tensor
    return F.interpolate(tensor, size=size, mode="bilinear", align_corners=False, antialias=antialias)
