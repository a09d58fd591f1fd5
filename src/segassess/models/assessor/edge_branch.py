"""Edge Guided Compaction (EGC) of the SegAssess paper: the boundary of the unseen truth, from the encoder's levels."""

import torch
from torch import Tensor, nn

from segassess.models.assessor.base import resize
from segassess.models.assessor.fusion import AdaptiveWeights, EdgeQualityFusion
from segassess.models.assessor.sam_parts import LayerNorm2d
from segassess.models.assessor.semantic_filter import SemanticFilter

NUM_LEVELS = 4


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
