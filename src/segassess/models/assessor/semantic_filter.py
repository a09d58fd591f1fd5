"""Aggregated Semantic Filter (ASF) of the SegAssess paper, which cleans the deepest encoder level for the edge branch."""

import torch
from torch import Tensor, nn


class Cbam(nn.Module):
    """Convolutional block attention (arXiv 1807.06521): a channel gate squeezed by `reduction`, then a spatial gate."""

    def __init__(self, dim: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(dim // reduction, 1)
        self.channel_mlp = nn.Sequential(nn.Linear(dim, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, dim, bias=False))
        self.spatial_conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w)."""
        strongest = self.channel_mlp(features.amax(dim=(2, 3)))  # (B, D)
        average = self.channel_mlp(features.mean(dim=(2, 3)))  # (B, D)
        features = features * torch.sigmoid(strongest + average)[:, :, None, None]
        places = torch.cat([features.amax(dim=1, keepdim=True), features.mean(dim=1, keepdim=True)], dim=1)  # (B, 2, h, w)
        return features * torch.sigmoid(self.spatial_conv(places))


class AtrousConv(nn.Sequential):
    """Bias-free atrous convolution (arXiv 1706.05587) with an odd kernel, batch norm, ReLU; keeps the size."""

    def __init__(self, dim: int, kernel: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(dim, dim, kernel, padding=padding, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.act = nn.ReLU()
        nn.init.kaiming_normal_(self.conv.weight)


def _strip(dim: int, height: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(dim, dim, kernel_size=(height, width), padding=(height // 2, width // 2))


class SemanticFilter(nn.Module):
    """Attention, strip convolutions, atrous convolutions: (B, D, h, w) -> (B, D, h, w), >= 0.

    Four strip convolutions follow rows and columns, as buildings and roads do, and are summed. Only the (1, 3) strip is
    normalised and rectified; the others are squashed to (0, 1) as soft votes. About 35 D^2 parameters.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention = Cbam(dim)
        self.strip_1x3 = nn.Sequential(_strip(dim, 1, 3), nn.BatchNorm2d(dim), nn.ReLU())
        self.strip_3x1 = nn.Sequential(_strip(dim, 3, 1), nn.Sigmoid())
        self.strip_1x5 = nn.Sequential(_strip(dim, 1, 5), nn.Sigmoid())
        self.strip_5x1 = nn.Sequential(_strip(dim, 5, 1), nn.Sigmoid())
        self.atrous = nn.Sequential(AtrousConv(dim, 1, 1), AtrousConv(dim, 3, 2), AtrousConv(dim, 3, 3))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w), >= 0."""
        features = self.attention(features)
        strips: Tensor = self.strip_1x3(features) + self.strip_3x1(features) + self.strip_1x5(features) + self.strip_5x1(features)
        filtered: Tensor = self.atrous(strips)
        return filtered
