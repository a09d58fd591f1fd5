"""OCRNet (Yuan et al., arXiv 1909.11065): pixels attend to the pooled features of object and background regions.

The paper makes every class a region; with one class the attention would always be 1. Here the coarse logit z gives two regions,
object (z) and background (-z), whose vectors are normalised per region because a batch has only 2B of them. Coarse logits get
the paper's auxiliary loss of weight 0.4, which the reference leaves out.
"""

import torch
from torch import Tensor, nn

from segassess.models.assessor.base import ChannelNorm, resize
from segassess.models.segmenters.base import Segmenter, SegmenterOutput, conv_norm_relu
from segassess.models.segmenters.encoders import LITE, FeaturePyramid
from segassess.models.segmenters.hrnet import MultiScaleFusion


def _region_transform(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, bias=False), ChannelNorm(channels_out), nn.ReLU(inplace=True))


class ObjectContext(nn.Module):
    """Object-contextual representations (section 3.2 of the paper) with the two regions object and background."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(width // 2, 1)
        self.query = nn.Sequential(conv_norm_relu(width, inner), conv_norm_relu(inner, inner))
        self.key = nn.Sequential(_region_transform(width, inner), _region_transform(inner, inner))
        self.value = _region_transform(width, inner)
        self.context = conv_norm_relu(inner, width)
        self.augment = nn.Sequential(conv_norm_relu(2 * width, width), nn.Dropout2d(0.05))

    def forward(self, pixels: Tensor, coarse: Tensor) -> Tensor:
        """Augment pixel features (B, C, h, w) with the context of the regions that coarse logits (B, 1, h, w) define."""
        belongs = torch.cat([coarse, -coarse], dim=1).flatten(2).softmax(dim=2)  # (B, 2, h*w), sums to 1 over the pixels
        regions = torch.einsum("bkn,bcn->bck", belongs, pixels.flatten(2))[..., None]  # (B, C, 2, 1)
        query, key = self.query(pixels), self.key(regions).squeeze(-1)
        relation = torch.einsum("bchw,bck->bkhw", query, key) * key.shape[1] ** -0.5
        context = torch.einsum("bkhw,bck->bchw", relation.softmax(dim=1), self.value(regions).squeeze(-1))
        augmented: Tensor = self.augment(torch.cat([self.context(context), pixels], dim=1))
        return augmented


class OCRNet(Segmenter):
    """OCRNet on `hrnet_w48` or any encoder with features at strides 4 to 32.

    `width` counts channels of the pixel features, 512 in the paper; `coarse_width` those before the coarse logits, 720 for W48.
    """

    SIZES = {
        "full": {"encoder": "hrnet_w48", "pretrained": True, "width": 512, "coarse_width": 720},
        "small": {"encoder": LITE, "pretrained": True, "width": 64, "coarse_width": 64},
    }
    auxiliary_weight = 0.4

    def __init__(self, *, encoder: str, pretrained: bool, width: int, coarse_width: int) -> None:
        pyramid = FeaturePyramid(encoder, pretrained=pretrained)
        super().__init__(pyramid.mean, pyramid.std)
        self.encoder = pyramid
        self.coarse = nn.Sequential(MultiScaleFusion(pyramid.channels, coarse_width), nn.Conv2d(coarse_width, 1, 1))
        self.pixels = conv_norm_relu(sum(pyramid.channels), width, kernel=3)
        self.object_context = ObjectContext(width)
        self.classifier = nn.Conv2d(width, 1, 1)

    def _segment(self, image: Tensor) -> SegmenterOutput:
        features = self.encoder(image)
        coarse = self.coarse(features)  # (B, 1, h/4, w/4)
        size = (coarse.shape[-2], coarse.shape[-1])
        joined = torch.cat([resize(each, size) for each in features], dim=1)
        augmented = self.object_context(self.pixels(joined), coarse)  # (B, width, h/4, w/4)
        return SegmenterOutput(self.classifier(augmented), (coarse,) if self.training else ())
