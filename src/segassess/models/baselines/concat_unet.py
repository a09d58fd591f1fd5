"""The plain network: image and mask as four channels, a U-Net, four classes."""

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from segassess.errors import ConfigError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures, resize
from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.baselines.four_channel import FourChannelAssessor
from segassess.quality import NUM_CLASSES

SKIP_STRIDES = (4, 8)


class ConcatUnet(FourChannelAssessor):
    """A U-Net (arXiv 1505.04597) over image and mask; by default as many multiply-adds as `compact` on EfficientNet-Lite0.

    The decoder of segmentation-models-pytorch starts at the encoder's embedding at stride 16. Its skips are the encoder's two
    earliest levels, resampled to strides 8 and 4 if need be, and a strided convolution of the four channels at stride 2.
    `width` counts channels at stride 8, a multiple of 8, and halves with each doubling of the size. Raises ConfigError if it is
    not such a multiple or the encoder has fewer than two levels.
    """

    def __init__(self, encoder: ImageEncoder, *, width: int = 64) -> None:
        super().__init__(encoder)
        if type(width) is not int or width < 8 or width % 8:
            raise ConfigError(f"assessor.width must be a multiple of 8 of at least 8, not {width!r}.")
        if len(encoder.level_dims) < len(SKIP_STRIDES):
            raise ConfigError(
                f"The encoder has {len(encoder.level_dims)} levels, concat_unet needs {len(SKIP_STRIDES)}; choose another one."
            )
        skip2 = width // 8
        self.stem = nn.Sequential(
            nn.Conv2d(4, skip2, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(skip2), nn.ReLU(inplace=True)
        )
        self.narrow = nn.ModuleList()
        skips = []
        for dim, stride, wanted in zip(encoder.level_dims, encoder.level_strides, SKIP_STRIDES, strict=False):
            self.narrow.append(nn.Identity() if stride == wanted else nn.Conv2d(dim, width, 1))
            skips.append(dim if stride == wanted else width)
        self.decoder = UnetDecoder(
            encoder_channels=(4, skip2, *skips, encoder.embedding_dim),
            decoder_channels=(width, width // 2, width // 4, width // 8),
            n_blocks=4,
        )
        self.head = nn.Conv2d(width // 8, NUM_CLASSES, 3, padding=1)
        # As in `compact`: the encoder's depthwise convolutions run faster on CPUs in this layout.
        self.to(memory_format=torch.channels_last)

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        channels, embedding, levels = self._encode_jointly(features, mask)
        height, width = mask.shape[-2:]
        skips = [
            resize(narrow(level), (height // stride, width // stride))
            for narrow, level, stride in zip(self.narrow, levels, SKIP_STRIDES, strict=False)
        ]
        # Of the first entry the decoder only reads the size.
        decoded = self.decoder([channels, self.stem(channels), *skips, embedding])  # (B, width / 8, h, w)
        return AssessorOutput(self.head(decoded))
