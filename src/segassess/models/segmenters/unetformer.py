"""UNetFormer: a light convolutional encoder and a decoder whose blocks join local convolutions and window attention.

Wang et al., ISPRS Journal of Photogrammetry and Remote Sensing 190 (2022), arXiv 2109.08937. Differences to paper and
reference: windows beyond a map's edge are zero-padded and masked (the reference mirrors, and fails below 129 px); the auxiliary
head runs in training only, with the paper's weight 0.4 (the reference uses 1); the channel gate has at least 8 hidden units,
because width / 16 without bias may all be dead from the start.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.errors import ConfigError
from segassess.models.assessor.base import resize
from segassess.models.segmenters.base import Segmenter, SegmenterOutput, conv_norm_relu
from segassess.models.segmenters.encoders import LITE, FeaturePyramid


def _conv_norm(channels: int, kernel: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels))


def _size(features: Tensor) -> tuple[int, int]:
    return features.shape[-2], features.shape[-1]


def _moving_mean(features: Tensor, length: int) -> Tensor:
    """Mean over `length` rows around each, with repeated border rows: (B, C, h, w) -> (B, C, h, w)."""
    padded = F.pad(features, (0, 0, (length - 1) // 2, length // 2), mode="replicate")
    return F.avg_pool2d(padded, (length, 1), stride=1)


class WindowAttention(nn.Module):
    """Multi-head self-attention in windows of `window` positions a side, with a bias per head and relative position."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.to_qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.position_bias = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * window - 1) ** 2, heads), std=0.02))
        row, column = torch.arange(window * window) // window, torch.arange(window * window) % window
        rows, columns = row[:, None] - row + window - 1, column[:, None] - column + window - 1
        self.register_buffer("relative", rows * (2 * window - 1) + columns, persistent=False)  # (window^2, window^2)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w), any size -> (B, C, h, w)."""
        height, width = _size(features)
        window, heads = self.window, self.heads
        filled = F.pad(self.to_qkv(features), (0, -width % window, 0, -height % window))
        batch, down, across = filled.shape[0], filled.shape[-2] // window, filled.shape[-1] // window
        parts = filled.view(batch, 3, heads, -1, down, window, across, window)
        parts = parts.permute(1, 0, 4, 6, 2, 5, 7, 3).flatten(5, 6).flatten(1, 3)  # (3, windows, heads, positions, C/heads)
        bias = self.position_bias[cast(Tensor, self.relative)].permute(2, 0, 1)[None]  # (1, heads, positions, positions)
        if (down * window, across * window) != (height, width):
            bias = bias + self._mask(features, down, across).repeat(batch, 1, 1, 1)
        query, key, value = parts
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        attended = attended.view(batch, down, across, heads, window, window, -1).permute(0, 3, 6, 1, 4, 2, 5)
        return attended.reshape(batch, -1, down * window, across * window)[..., :height, :width]

    def _mask(self, features: Tensor, down: int, across: int) -> Tensor:
        """0 for keys on the map and -inf for those beyond it: (down * across, 1, 1, positions)."""
        height, width = _size(features)
        window = self.window
        mask = features.new_full((down * window, across * window), float("-inf"))
        mask[:height, :width] = 0
        return mask.view(down, window, across, window).transpose(1, 2).reshape(-1, 1, 1, window * window)


class GlobalLocalBlock(nn.Module):
    """Transformer block with a local (convolutional) branch beside the global attention (figure 3 of the paper).

    The global branch adds vertical and horizontal means over a window's length, which exchange information between windows.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm = nn.BatchNorm2d(width)
        self.local3 = _conv_norm(width, 3)
        self.local1 = _conv_norm(width)
        self.attention = WindowAttention(width, heads, window)
        self.mix = nn.Sequential(
            nn.ZeroPad2d(((window - 1) // 2, window // 2) * 2),
            nn.Conv2d(width, width, window, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1, bias=False),
        )
        self.mlp = nn.Sequential(
            nn.BatchNorm2d(width), nn.Conv2d(width, 4 * width, 1), nn.ReLU6(inplace=True), nn.Conv2d(4 * width, width, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        normed = self.norm(features)
        attended = self.attention(normed)
        down = _moving_mean(attended, self.window)
        across = _moving_mean(attended.transpose(2, 3), self.window).transpose(2, 3)
        features = features + self.mix(self.local3(normed) + self.local1(normed) + down + across)
        return features + cast(Tensor, self.mlp(features))


class WeightedFusion(nn.Module):
    """Sum of a skip connection and the upsampled features from below, with two learned weights that sum to 1."""

    def __init__(self, channels_skip: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels_skip, width, 1, bias=False)
        self.weights = nn.Parameter(torch.ones(2))
        self.smooth = nn.Sequential(_conv_norm(width, 3), nn.ReLU6(inplace=True))

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """(B, D, h, w) and (B, C, h/2, w/2) -> (B, C, h, w)."""
        positive = self.weights.relu()
        share = positive / (positive.sum() + 1e-8)
        return cast(Tensor, self.smooth(share[0] * self.project(skip) + share[1] * resize(below, _size(skip))))


class FeatureRefinement(nn.Module):
    """Refines the fused features by a gate per pixel plus a gate per channel, with a residual (figure 5 of the paper)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(width // 16, 8)
        self.spatial = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Sigmoid())
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, inner, 1, bias=False),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.Sigmoid(),
        )
        self.shortcut = _conv_norm(width)
        self.project = _conv_norm(width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        gated = features * self.spatial(features) + features * self.channel(features)
        return F.relu6(self.project(gated) + self.shortcut(features))


class UNetFormer(Segmenter):
    """UNetFormer on any encoder with features at strides 4 to 32; `resnet18.fb_swsl_ig1b_ft_in1k` in the reference.

    `width` counts the decoder's channels, 64 in the paper, and is a multiple of `heads`; `window` is in positions.
    """

    SIZES = {
        "full": {"encoder": "resnet18.fb_swsl_ig1b_ft_in1k", "pretrained": True, "width": 64, "heads": 8, "window": 8},
        "small": {"encoder": LITE, "pretrained": True, "width": 48, "heads": 6, "window": 8},
    }
    auxiliary_weight = 0.4

    def __init__(self, *, encoder: str, pretrained: bool, width: int, heads: int, window: int) -> None:
        if width % heads:
            raise ConfigError(f"segmenter.width must be a multiple of segmenter.heads={heads}, not {width}.")
        pyramid = FeaturePyramid(encoder, pretrained=pretrained)
        super().__init__(pyramid.mean, pyramid.std)
        self.encoder = pyramid
        self.entry = nn.Conv2d(pyramid.channels[-1], width, 1, bias=False)
        self.blocks = nn.ModuleList(GlobalLocalBlock(width, heads, window) for _ in range(3))
        self.fusions = nn.ModuleList(WeightedFusion(channels, width) for channels in reversed(pyramid.channels[:-1]))
        self.refine = FeatureRefinement(width)
        self.classifier = nn.Sequential(conv_norm_relu(width, width, 3), nn.Dropout2d(0.1), nn.Conv2d(width, 1, 1))
        self.auxiliary = nn.Sequential(conv_norm_relu(width, width, 3), nn.Conv2d(width, 1, 1))

    def _segment(self, image: Tensor) -> SegmenterOutput:
        *skips, deepest = self.encoder(image)  # strides 4, 8, 16 and 32
        current = self.blocks[0](self.entry(deepest))
        stages = [current]
        for block, fusion, skip in zip(self.blocks[1:], self.fusions, reversed(skips), strict=False):
            current = block(fusion(skip, current))
            stages.append(current)
        refined = self.refine(self.fusions[-1](skips[0], current))  # (B, width, h/4, w/4)
        auxiliary: tuple[Tensor, ...] = ()
        if self.training:
            joined = torch.stack([resize(stage, _size(current)) for stage in stages]).sum(dim=0)  # (B, width, h/8, w/8)
            auxiliary = (self.auxiliary(joined),)
        return SegmenterOutput(self.classifier(refined), auxiliary)
