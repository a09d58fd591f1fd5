"""HRNetV2: keeps every resolution through the whole encoder and joins all of them in one thin head.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", arXiv 1908.07919.

As in the paper, the four branches are upsampled to stride 4, joined and mixed by a 1x1 convolution. The reference mixes with a
5x5 convolution, hence its larger number of parameters, and aligns corners when it upsamples.
"""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from segassess.models.assessor.base import resize
from segassess.models.segmenters.base import Segmenter, SegmenterOutput
from segassess.models.segmenters.encoders import LITE, FeaturePyramid


class MultiScaleFusion(nn.Module):
    """Upsamples and concatenates feature maps (finest first), then 1x1 convolution, batch normalisation, ReLU.

    A 1x1 convolution commutes with bilinear interpolation, so each map is projected at its own resolution and the upsampled
    projections are summed: the same numbers for a fraction of the work.
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
    """HRNetV2 with its multi-scale head.

    Args:
        encoder: `hrnet_w48` or any encoder with features at strides 4 to 32.
        pretrained: start from ImageNet weights.
        width: channels of the joined features; in the paper those of all branches, 720 for W48.
    """

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
