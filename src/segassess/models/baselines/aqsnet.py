"""An AQSNet: image and mask in, multi-scale attention, one head for false positives and one for false negatives.

After Z. Zhang et al., On the automatic quality assessment of annotated sample data for object extraction from remote sensing
imagery (AQSNet, https://github.com/zhilyzhang/AQSNet).
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.errors import ConfigError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures, resize
from segassess.models.assessor.edge_branch import Cbam
from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.baselines.four_channel import FourChannelAssessor

FUSED_STRIDE = 4


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


class MultiScaleAttention(nn.Module):
    """Attends to channels and places within every scale, joins the scales and the mask at stride 4, and attends once more."""

    def __init__(self, dims: tuple[int, ...], width: int) -> None:
        """`dims` are the channels of each scale, narrowed to half of `width`, the even number of resulting channels."""
        super().__init__()
        narrow = width // 2
        self.scales = nn.ModuleList(nn.Sequential(_normed(nn.Conv2d(dim, narrow, 1, bias=False)), Cbam(narrow)) for dim in dims)
        self.join = _normed(nn.Conv2d(len(dims) * narrow + 1, width, 3, padding=1, bias=False))
        self.attention = Cbam(width)

    def forward(self, scales: tuple[Tensor, ...], mask: Tensor) -> Tensor:
        """Maps of any sizes, and the mask (B, 1, h, w) -> (B, width, h/4, w/4)."""
        share = F.avg_pool2d(mask, FUSED_STRIDE)  # of each cell that the mask covers
        size = (share.shape[-2], share.shape[-1])
        attended = [resize(attend(scale), size) for attend, scale in zip(self.scales, scales, strict=True)]
        fused: Tensor = self.attention(self.join(torch.cat([*attended, share], dim=1)))
        return fused


class ErrorHead(nn.Sequential):
    """One logit per pixel: (B, dim, h, w) -> (B, 1, h, w)."""

    def __init__(self, dim: int) -> None:
        super().__init__(_normed(nn.Conv2d(dim, 8, 3, padding=1, bias=False)), nn.Conv2d(8, 1, 1))


class AqsNet(FourChannelAssessor):
    """Two-headed assessor after AQSNet; by default about as many multiply-adds as `compact` on EfficientNet-Lite0.

    One head gives the log-odds of FP inside the mask, the other those of FN outside: quality logits (0, fp, 0, fn). With
    `decoding: consistent` softmax over the two possible classes is the head's sigmoid, so the common loss trains each head on
    its side. With `decoding: free` P(TP) = P(TN) <= 1/2 everywhere, so only FP and FN can be read and no truth follows.

    Kept of AQSNet: four input channels, channel-spatial attention over all scales with the mask in view, a transposed
    convolution to stride 2 for the outputs, bilinear interpolation from there. Different: any encoder instead of HRNet-W48;
    CBAM (arXiv 1807.06521) as attention; the mask's input channel starts at zero instead of a colour's copy; no auxiliary
    segmentation head; loss, augmentation and optimiser are those of the other assessors here.

    `width` is the even number of fused channels. Raises ConfigError if it is not even or the encoder does not fit.
    """

    def __init__(self, encoder: ImageEncoder, *, width: int = 64) -> None:
        super().__init__(encoder)
        if type(width) is not int or width < 2 or width % 2:
            raise ConfigError(f"assessor.width must be an even number of at least 2, not {width!r}.")
        self.multi_scale = MultiScaleAttention((*encoder.level_dims, encoder.embedding_dim), width)
        self.enlarge = _normed(nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False))
        self.false_positive = ErrorHead(width // 2)
        self.false_negative = ErrorHead(width // 2)
        # As in `compact`: the encoder's depthwise convolutions run faster on CPUs in this layout.
        self.to(memory_format=torch.channels_last)

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        size = (mask.shape[-2], mask.shape[-1])
        _, embedding, levels = self._encode_jointly(features, mask)
        pixels = self.enlarge(self.multi_scale((*levels, embedding), mask))  # (B, width / 2, h/2, w/2)
        false_positive = resize(cast(Tensor, self.false_positive(pixels)), size)  # (B, 1, h, w)
        false_negative = resize(cast(Tensor, self.false_negative(pixels)), size)
        zero = torch.zeros_like(false_positive)
        return AssessorOutput(torch.cat([zero, false_positive, zero, false_negative], dim=1))
