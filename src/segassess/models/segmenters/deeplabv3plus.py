"""DeepLabV3+ (Chen et al., arXiv 1802.02611), as built by segmentation-models-pytorch.

Differences to the paper: a ResNet instead of Xception; the pooled branch of the atrous pyramid is normalised over channels, so
that a batch of one trains. The reference dilates only the first block of its third stage and aligns corners.
"""

from typing import Any

from torch import Tensor, nn

from segassess.errors import ConfigError
from segassess.models.segmenters.base import Segmenter, SegmenterOutput
from segassess.models.segmenters.encoders import LITE, scaling
from segassess.models.segmenters.smp import smp_network


class DeepLabV3Plus(Segmenter):
    """DeepLabV3+ on an encoder of timm whose strides can be replaced by dilation, or `efficientnet_lite0`.

    `width` counts channels of the atrous pyramid and the decoder, 256 in the paper; `output_stride` 8 has the atrous rates 12,
    24, 36, and 16 has 6, 12, 18.
    """

    SIZES = {
        "full": {"encoder": "resnet101", "pretrained": True, "width": 256, "output_stride": 8},
        "small": {"encoder": LITE, "pretrained": True, "width": 96, "output_stride": 16},
    }

    def __init__(self, *, encoder: str, pretrained: bool, width: int, output_stride: int) -> None:
        if output_stride not in (8, 16):
            raise ConfigError(f"segmenter.output_stride must be 8 or 16, not {output_stride}.")
        super().__init__(*scaling(encoder))
        self.pad_multiple = output_stride
        network: Any = smp_network(
            "DeepLabV3Plus",
            encoder if encoder == LITE else f"tu-{encoder}",
            pretrained=pretrained,
            encoder_output_stride=output_stride,
            decoder_channels=width,
            decoder_atrous_rates=tuple(step * 96 // output_stride for step in (1, 2, 3)),
            decoder_aspp_dropout=0.1,
        )
        network.decoder.aspp[0].convs[-1][2] = nn.GroupNorm(1, width)  # of the pooled branch
        self.network = network

    def _segment(self, image: Tensor) -> SegmenterOutput:
        return SegmenterOutput(self.network(image))
