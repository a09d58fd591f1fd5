"""HRNetV2 (Wang et al., arXiv 1908.07919): every resolution is kept through the encoder and joined in one thin head.

As in the paper, the four branches are joined at stride 4 by a 1x1 convolution. The reference uses a 5x5 convolution, hence more
parameters, and aligns corners.
"""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from segassess.models.assessor.base import resize
from segassess.models.segmenters.base import Segmenter, SegmenterOutput
from segassess.models.segmenters.encoders import LITE, FeaturePyramid


class MultiScaleFusion(nn.Module):
    """Upsamples and concatenates feature maps (finest first), then 1x1 convolution, batch normalisation, ReLU.

    A 1x1 convolution commutes with bilinear interpolation, so each map is projected at its own resolution and the projections
    are summed: the same numbers for a fraction of the work.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(each, width, 1, bias=False) for each in channels)
        # The initial spread of ONE convolution over all channels.
        for projection in self.projections:
            nn.init.uniform_(cast(nn.Conv2d, projection).weight, -(sum(channels) ** -0.5), sum(channels) ** -0.5)
        self.activate = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, h_i, w_i), the finest first -> (B, width, h_0, w_0)."""
        size = (features[0].shape[-2], features[0].shape[-1])
        joined = sum(resize(project(each), size) for project, each in zip(self.projections, features, strict=True))
        return cast(Tensor, self.activate(joined))


class HRNet(Segmenter):
    """HRNetV2 on `hrnet_w48` or any encoder with strides 4 to 32; in the paper `width` is 720 for W48, that of all branches."""

    SIZES = {
        "full": {"encoder": "hrnet_w48", "pretrained": True, "width": 720},
        "small": {"encoder": LITE, "pretrained": True, "width": 128},
    }

    def __init__(self, *, encoder: str, pretrained: bool, width: int) -> None:
        pyramid = FeaturePyramid(encoder, pretrained=pretrained)
        super().__init__(pyramid.mean, pyramid.std)
        self.encoder = pyramid
        self.fusion = MultiScaleFusion(pyramid.channels, width)
        self.classifier = nn.Conv2d(width, 1, 1)

    def _segment(self, image: Tensor) -> SegmenterOutput:
        fused: Any = self.fusion(self.encoder(image))  # (B, width, h/4, w/4)
        return SegmenterOutput(self.classifier(fused))
