"""The base of trained baselines whose encoder reads image and mask together, as four channels."""

from abc import ABC

import torch
from torch import Tensor

from segassess.models.assessor.base import Assessor, ImageFeatures
from segassess.models.assessor.encoders.base import ImageEncoder


class FourChannelAssessor(Assessor, ABC):
    """An assessor whose encoder reads RGB and mask at once, through `ImageEncoder.extra_stem`.

    `encode_image` only scales the image, and each mask of it costs a full pass. Raises ConfigError if the encoder takes no
    further channel.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.pad_multiple = max(16, encoder.pad_multiple)
        self._take(encoder)
        self.mask_stem = encoder.extra_stem(1)

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return (image - self.mean) / self.std, ()

    def _encode_jointly(self, features: ImageFeatures, mask: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Channels (B, 4, h, w; the mask in {-1, 1}), embedding (B, C, h/16, w/16) and levels of images with one mask each."""
        signed = mask * 2 - 1
        embedding, levels = self.image_encoder(features.embedding, self.mask_stem(signed))
        return torch.cat([features.embedding, signed], dim=1), embedding, levels
