"""The improved composition: the paper's ideas at a size that trains on two CPU cores.

What it keeps of SegAssess: a prompted, SAM-like two-way transformer with one token per quality class, an edge branch that
gates the class logits. What it changes (docs/decisions/0003): the mask is encoded at full resolution and joined at strides 4
and 16 instead of once at stride 16 after a 4:1 decimation, early image features come back as skips, and a light head at full
resolution sees the mask once more.
"""

from typing import Any, Literal, cast

import torch
from segment_anything.modeling.mask_decoder import MLP
from segment_anything.modeling.prompt_encoder import PositionEmbeddingRandom
from segment_anything.modeling.transformer import TwoWayTransformer
from torch import Tensor, nn

from segassess.assessor.base import Assessor, AssessorOutput, ChannelNorm, ImageFeatures, resize
from segassess.assessor.encoders.base import ImageEncoder
from segassess.quality import NUM_CLASSES

PIXEL_DIM = 48
MASK_DIM = 32
EDGE_PRIOR_LOGIT = -3.0


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), ChannelNorm(outputs), nn.GELU())


class MaskPyramid(nn.Module):
    """Encodes a mask at full resolution and hands it on at strides 1, 4 and 16."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.stride1 = _conv(1, 8)
        self.stride4 = nn.Sequential(_conv(8, 16, 2), _conv(16, MASK_DIM, 2))
        self.stride16 = nn.Sequential(_conv(MASK_DIM, 64, 2), _conv(64, embedding_dim, 2))

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, h, w) in {0, 1} -> (B, 8, h, w), (B, 32, h/4, w/4), (B, C, h/16, w/16)."""
        stride1 = self.stride1(mask * 2 - 1)
        stride4 = self.stride4(stride1)
        return stride1, stride4, self.stride16(stride4)


class PixelDecoder(nn.Module):
    """Brings decoder features from stride 16 to stride 4 with skips of the encoder and of the mask."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        early = [self._nearest(encoder.level_strides, stride) for stride in (4, 8)]
        self.skip_levels = early
        self.skip4 = nn.Conv2d(encoder.level_dims[early[0]], PIXEL_DIM, 1)
        self.skip8 = nn.Conv2d(encoder.level_dims[early[1]], 64, 1)
        self.reduce16 = nn.Conv2d(encoder.embedding_dim, 64, 1)
        self.fuse8 = _conv(64, 64)
        self.reduce8 = nn.Conv2d(64, PIXEL_DIM, 1)
        self.fuse4 = nn.Sequential(_conv(PIXEL_DIM + MASK_DIM, PIXEL_DIM), _conv(PIXEL_DIM, PIXEL_DIM))

    @staticmethod
    def _nearest(strides: tuple[int, ...], wanted: int) -> int:
        # A plain ViT has stride 16 everywhere; its earliest levels then stand in for the early, finer ones.
        return min(range(len(strides)), key=lambda level: (abs(strides[level] - wanted), level))

    def forward(self, source: Tensor, levels: tuple[Tensor, ...], mask4: Tensor) -> Tensor:
        """(B, C, h/16, w/16), levels, (B, 32, h/4, w/4) -> pixel features (B, 48, h/4, w/4)."""
        height, width = mask4.shape[-2:]
        half = (height // 2, width // 2)
        level4, level8 = (levels[index] for index in self.skip_levels)
        pixels = resize(self.reduce16(source), half) + resize(self.skip8(level8), half)  # (B, 64, h/8, w/8)
        pixels = self.reduce8(self.fuse8(pixels))
        pixels = resize(pixels, (height, width)) + resize(self.skip4(level4), (height, width))  # (B, 48, h/4, w/4)
        fused: Tensor = self.fuse4(torch.cat([pixels, mask4], dim=1))
        return fused


class EdgeHead(nn.Sequential):
    """Boundary logits (B, 1, h/4, w/4) of pixel features (B, 48, h/4, w/4)."""

    def __init__(self) -> None:
        logits = nn.Conv2d(16, 1, 1)
        # Few pixels are edges; starting from that prior, the Dice term has a gradient worth the name from the first step.
        nn.init.constant_(cast(Tensor, logits.bias), EDGE_PRIOR_LOGIT)
        super().__init__(_conv(PIXEL_DIM, 16), logits)


class CompactAssessor(Assessor):
    """Small SegAssess for interchangeable encoders.

    Args:
        encoder: the image encoder.
        depth: layers of the two-way transformer.
        edge_branch: predict the boundary of the truth and let it gate the class logits.
        input_scaling: "encoder" subtracts the mean and divides by the standard deviation that the encoder's weights expect;
            "reference" feeds images in [0, 1] as they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: ImageEncoder,
        *,
        depth: int = 2,
        edge_branch: bool = True,
        input_scaling: Literal["reference", "encoder"] = "encoder",
    ) -> None:
        super().__init__()
        width = encoder.embedding_dim
        self.pad_multiple = max(16, encoder.pad_multiple)
        self.image_encoder = encoder
        scaled = input_scaling == "encoder"
        self.register_buffer("mean", torch.tensor(encoder.mean if scaled else (0.0, 0.0, 0.0)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(encoder.std if scaled else (1.0, 1.0, 1.0)).view(1, 3, 1, 1), persistent=False)
        self.mask_pyramid = MaskPyramid(width)
        self.position = PositionEmbeddingRandom(width // 2)
        self.class_tokens = nn.Embedding(NUM_CLASSES, width)
        self.transformer = TwoWayTransformer(depth=depth, embedding_dim=width, num_heads=8, mlp_dim=4 * width)
        self.pixel_decoder = PixelDecoder(encoder)
        self.class_heads = nn.ModuleList(MLP(width, width, PIXEL_DIM, 2) for _ in range(NUM_CLASSES))
        self.edge_head = EdgeHead() if edge_branch else None
        inputs = NUM_CLASSES + 8 + (1 if edge_branch else 0)
        self.full_head = nn.Sequential(_conv(inputs, 16), nn.Conv2d(16, NUM_CLASSES, 1))
        # Depthwise convolutions on CPUs run faster in this layout (a training step takes 0.8 of the time).
        self.to(memory_format=torch.channels_last)

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        embedding, levels = self.image_encoder((image - self.mean) / self.std)
        return embedding, levels

    def _assess(self, features: ImageFeatures, mask: Tensor, **options: Any) -> AssessorOutput:
        masks, size = mask.shape[0], (mask.shape[-2], mask.shape[-1])
        mask1, mask4, mask16 = self.mask_pyramid(mask)
        source = features.embedding + mask16  # (B, C, g_h, g_w)
        grid = source.shape[-2:]
        position = self.position((grid[0], grid[1])).unsqueeze(0).expand(masks, -1, -1, -1)
        tokens = self.class_tokens.weight.unsqueeze(0).expand(masks, -1, -1)
        tokens, source = self.transformer(source, position, tokens)  # (B, 4, C), (B, g_h*g_w, C)
        source = source.transpose(1, 2).reshape(masks, -1, *grid)
        pixels = self.pixel_decoder(source, features.levels, mask4)  # (B, 48, h/4, w/4)
        weights = torch.stack([head(tokens[:, index]) for index, head in enumerate(self.class_heads)], dim=1)  # (B, 4, 48)
        coarse = torch.einsum("bkc,bchw->bkhw", weights, pixels) / PIXEL_DIM**0.5
        coarse = resize(coarse, size)  # (B, 4, h, w)
        if self.edge_head is None:
            return AssessorOutput(coarse + self.full_head(torch.cat([coarse, mask1], dim=1)), None, coarse)
        edge = resize(self.edge_head(pixels), size)  # (B, 1, h, w)
        gated = coarse + coarse * edge.sigmoid()
        return AssessorOutput(gated + self.full_head(torch.cat([gated, edge, mask1], dim=1)), edge, coarse)
