"""Fusion of edge and quality logits, and of edge maps (SegAssess paper, Edge Guided Compaction)."""

import torch
from torch import Tensor, nn

from segassess.quality import NUM_CLASSES


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
