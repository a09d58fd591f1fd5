"""What the trained baselines share: image and mask enter the encoder together, as four channels."""

from abc import ABC

import torch
from torch import Tensor

from segassess.models.assessor.base import Assessor, ImageFeatures
from segassess.models.assessor.encoders.base import ImageEncoder


class FourChannelAssessor(Assessor, ABC):
    """An assessor whose encoder reads RGB and mask at once.

    So nothing can be computed before the mask is known: `encode_image` only scales the image, and each mask of it costs a whole
    pass. The encoder's first convolution gets a fourth input channel, see `ImageEncoder.extra_stem`.

    Args:
        encoder: the image encoder.

    Raises:
        ConfigError: if the encoder takes no further channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.pad_multiple = max(16, encoder.pad_multiple)
        self.image_encoder = encoder
        self.mask_stem = encoder.extra_stem(1)
        self.register_buffer("mean", torch.tensor(encoder.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(encoder.std).view(1, 3, 1, 1), persistent=False)

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return (image - self.mean) / self.std, ()

    def _encode_jointly(self, features: ImageFeatures, mask: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Run the encoder on images and masks.

        Args:
            features: of `_encode`, one image per mask.
            mask: float (B, 1, h, w) in {0, 1}.

        Returns:
            The four channels (B, 4, h, w), the mask in {-1, 1} as the scaled image has about that range; the embedding
            (B, C, h/16, w/16); and the levels of the encoder.
        """
        signed = mask * 2 - 1
        embedding, levels = self.image_encoder(features.embedding, self.mask_stem(signed))
        return torch.cat([features.embedding, signed], dim=1), embedding, levels
