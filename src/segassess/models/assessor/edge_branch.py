"""Edge Guided Compaction (EGC) of the SegAssess paper: the boundary of the unseen truth, from the encoder's levels.

An Aggregated Semantic Filter (ASF) cleans the deepest level; the boundary then sharpens the quality logits.
"""

import torch
from torch import Tensor, nn

from segassess.models.assessor.base import resize
from segassess.models.assessor.sam_parts import LayerNorm2d
from segassess.quality import NUM_CLASSES

NUM_LEVELS = 4


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


class AdaptiveWeights(nn.Sequential):
    """Unbounded per-pixel weights of N edge maps: (B, N, h, w) logits -> (B, N, h, w)."""

    def __init__(self, maps: int) -> None:
        super().__init__(
            nn.Sequential(nn.Conv2d(maps, maps, 1), nn.BatchNorm2d(maps), nn.ReLU()),
            nn.Sequential(nn.Conv2d(maps, maps, 1), nn.BatchNorm2d(maps), nn.ReLU()),
            nn.Sequential(nn.Conv2d(maps, maps, 1), nn.BatchNorm2d(maps)),
        )


class ClassGate(nn.Module):
    """Attention among the four classes of each pixel, with a residual.

    The paper draws a non-local block; like its implementation, this is `softmax(q * k)` over each pixel's class channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 1)
        self.key = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 1)
        self.value = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 1)
        self.out = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 1)

    def forward(self, logits: Tensor) -> Tensor:
        """(B, 4, h, w) -> (B, 4, h, w)."""
        attention = (self.query(logits) * self.key(logits)).softmax(dim=1)
        gated: Tensor = self.out(attention * self.value(logits))
        return gated + logits


class EdgeQualityFusion(nn.Module):
    """Lets the edge map raise or damp the coarse quality logits, then weighs the classes against each other."""

    def __init__(self) -> None:
        super().__init__()
        self.quality_in = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 1)
        self.edge_in = nn.Conv2d(1, 1, 1)
        self.gate = ClassGate()

    def forward(self, coarse_logits: Tensor, edge_logits: Tensor) -> Tensor:
        """(B, 4, h, w) coarse logits, (B, 1, h, w) edge logits -> (B, 4, h, w) quality logits."""
        quality: Tensor = self.quality_in(coarse_logits)
        edge: Tensor = self.edge_in(edge_logits)
        fused: Tensor = self.gate(quality + quality * torch.sigmoid(edge))
        return fused


def _side_head(dim: int, maps: int) -> nn.Sequential:
    """Two transposed convolutions: (B, D, gh, gw) -> (B, maps, 4 gh, 4 gw)."""
    return nn.Sequential(
        nn.ConvTranspose2d(dim, dim // 4, kernel_size=4, stride=2, padding=1),
        LayerNorm2d(dim // 4),
        nn.GELU(),
        nn.ConvTranspose2d(dim // 4, maps, kernel_size=4, stride=2, padding=1),
    )


class EdgeBranch(nn.Module):
    """Predicts the truth's boundary from the image alone; `fusion` then sharpens the quality logits with it.

    Each of four levels, with `dim` channels (a multiple of 4), gives an edge map. The deepest one, cleaned by `semantic_filter`
    if set, also gives their per-pixel weights. Only `fusion` depends on the mask, so all masks of an image share one edge map.
    """

    def __init__(self, dim: int, semantic_filter: bool = True) -> None:
        super().__init__()
        self.semantic_filter = SemanticFilter(dim) if semantic_filter else nn.Identity()
        self.side_heads = nn.ModuleList(_side_head(dim, 1) for _ in range(NUM_LEVELS))
        self.weight_head = _side_head(dim, NUM_LEVELS)
        self.adaptive_weights = AdaptiveWeights(NUM_LEVELS)
        self.fusion = EdgeQualityFusion()

    def forward(self, levels: tuple[Tensor, ...], size: tuple[int, int]) -> Tensor:
        """Edge logits (B, 1, h, w) at `size` = (h, w) from four levels (B, D, gh, gw), early to late."""
        *early, deepest = levels
        deepest = self.semantic_filter(deepest)  # (B, D, gh, gw)
        pairs = zip(self.side_heads, [*early, deepest], strict=True)
        sides = [resize(head(level), size) for head, level in pairs]  # each (B, 1, h, w)
        weights = self.adaptive_weights(resize(self.weight_head(deepest), size))  # (B, 4, h, w)
        # The first weight belongs to the deepest map.
        maps = torch.cat([sides[-1], *sides[:-1]], dim=1)  # (B, 4, h, w)
        edge_logits: Tensor = (maps * weights).sum(dim=1, keepdim=True)
        return edge_logits
