"""The small network that learns a layer: a U-Net on EfficientNet-Lite0, light enough for minutes on CPUs."""

from typing import Any

import torch
from torch import Tensor

from segassess.models.segmenters.base import Segmenter, SegmenterOutput
from segassess.models.segmenters.encoders import LITE, scaling
from segassess.models.segmenters.smp import smp_network

# Channels of the decoder from stride 16 to full resolution.
_WIDTHS = (64, 48, 32, 16, 8)
# First stages of the encoder, with its stem, that keep their ImageNet weights; training them costs a fifth of a step.
_FROZEN = 2


class FitNetwork(Segmenter):
    """A U-Net (arXiv 1505.04597) on EfficientNet-Lite0, with an output per class; `pretrained` starts from ImageNet weights."""

    SIZES = {"small": {"pretrained": True}}

    def __init__(self, classes: int, *, pretrained: bool) -> None:
        super().__init__(*scaling(LITE))
        self.network = smp_network("Unet", LITE, pretrained=pretrained, classes=classes, decoder_channels=_WIDTHS)
        encoder: Any = self.network.encoder
        for part in (encoder.model.conv_stem, encoder.model.bn1, *encoder.model.blocks[:_FROZEN]):
            part.requires_grad_(False)
        # Depthwise convolutions are faster on CPUs in this layout.
        self.to(memory_format=torch.channels_last)

    def _segment(self, image: Tensor) -> SegmenterOutput:
        network: Any = self.network
        return SegmenterOutput(network(image.contiguous(memory_format=torch.channels_last)))
