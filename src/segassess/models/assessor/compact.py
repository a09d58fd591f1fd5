"""The improved composition: the paper's ideas at a size that trains on two CPU cores (docs/decisions/0003).

It keeps SegAssess's two-way transformer with one token per class and the edge branch that gates the class logits. It adds an
object branch that estimates the truth from the image alone, a mask pyramid, skips from early features, and a full-resolution
head.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.models.assessor.base import Assessor, AssessorOutput, ChannelNorm, ImageFeatures, resize
from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.assessor.sam_parts import MLP, PositionEmbeddingRandom, TwoWayTransformer
from segassess.quality import FN, NUM_CLASSES, TP

PIXEL_DIM = 48
MASK_DIM = 32
EDGE_PRIOR_LOGIT = -3.0
OBJECT_PRIOR_LOGIT = -1.0


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), ChannelNorm(outputs), nn.GELU())


class MaskPyramid(nn.Module):
    """Encodes a mask at strides 1, 4 and 16."""

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


@dataclass(frozen=True)
class CompactFeatures(ImageFeatures):
    """Image features plus all that depends on the image alone, at stride 4, shared by all masks of an image.

    `pixels` is float (B, 48, h/4, w/4); `object_logits` (the truth) and `edge_logits` (its boundary) are float (B, 1, h/4,
    w/4), or None without their branch.
    """

    pixels: Tensor
    object_logits: Tensor | None
    edge_logits: Tensor | None


class PixelDecoder(nn.Module):
    """Upsamples the image embedding from stride 16 to stride 4 with skips from the encoder."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.skip_levels = early = [encoder.level_near(stride) for stride in (4, 8)]
        self.skip4 = nn.Conv2d(encoder.level_dims[early[0]], PIXEL_DIM, 1)
        self.skip8 = nn.Conv2d(encoder.level_dims[early[1]], 64, 1)
        self.reduce16 = nn.Conv2d(encoder.embedding_dim, 64, 1)
        self.fuse8 = _conv(64, 64)
        self.reduce8 = nn.Conv2d(64, PIXEL_DIM, 1)
        self.fuse4 = _conv(PIXEL_DIM, PIXEL_DIM)

    def forward(self, embedding: Tensor, levels: tuple[Tensor, ...], size: tuple[int, int]) -> Tensor:
        """(B, C, h/16, w/16), levels, (h, w) -> pixel features (B, 48, h/4, w/4)."""
        quarter, eighth = (size[0] // 4, size[1] // 4), (size[0] // 8, size[1] // 8)
        level4, level8 = (levels[index] for index in self.skip_levels)
        pixels = resize(self.reduce16(embedding), eighth) + resize(self.skip8(level8), eighth)  # (B, 64, h/8, w/8)
        pixels = self.reduce8(self.fuse8(pixels))
        fused: Tensor = self.fuse4(resize(pixels, quarter) + resize(self.skip4(level4), quarter))  # (B, 48, h/4, w/4)
        return fused


class PixelHead(nn.Sequential):
    """Logits (B, 1, h/4, w/4) of pixels (B, 48, h/4, w/4); a low initial bias `prior` gives Dice a useful gradient at once."""

    def __init__(self, prior: float) -> None:
        logits = nn.Conv2d(16, 1, 1)
        nn.init.constant_(cast(Tensor, logits.bias), prior)
        super().__init__(_conv(PIXEL_DIM, 16), logits)


class CompactAssessor(Assessor):
    """Small SegAssess with any encoder and `depth` layers of the two-way transformer.

    The edge branch gates the class logits with the truth's boundary; the object branch starts the assessment where the mask
    differs from the truth it estimates. `input_scaling` "encoder" uses mean and standard deviation of the encoder's weights,
    "reference" feeds images in [0, 1].
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        *,
        depth: int = 2,
        edge_branch: bool = True,
        object_branch: bool = True,
        input_scaling: Literal["reference", "encoder"] = "encoder",
    ) -> None:
        super().__init__()
        width = encoder.embedding_dim
        self.pad_multiple = max(16, encoder.pad_multiple)
        self._take(encoder, scaling=input_scaling == "encoder")
        self.pixel_decoder = PixelDecoder(encoder)
        self.object_head = PixelHead(OBJECT_PRIOR_LOGIT) if object_branch else None
        self.edge_head = PixelHead(EDGE_PRIOR_LOGIT) if edge_branch else None
        self.mask_pyramid = MaskPyramid(width)
        self.position = PositionEmbeddingRandom(width // 2)
        self.class_tokens = nn.Embedding(NUM_CLASSES, width)
        self.transformer = TwoWayTransformer(depth=depth, embedding_dim=width, num_heads=8, mlp_dim=4 * width)
        self.reduce16 = nn.Conv2d(width, PIXEL_DIM, 1)
        seen = 2 * PIXEL_DIM + MASK_DIM + (2 if object_branch else 0)
        self.compare = nn.Sequential(_conv(seen, PIXEL_DIM), _conv(PIXEL_DIM, PIXEL_DIM))
        self.class_heads = nn.ModuleList(MLP(width, width, PIXEL_DIM, 2) for _ in range(NUM_CLASSES))
        inputs = NUM_CLASSES + 8 + int(edge_branch) + int(object_branch)
        self.full_head = nn.Sequential(_conv(inputs, 16), nn.Conv2d(16, NUM_CLASSES, 1))
        # Object logits raise the classes in which the truth is an object (TP, FN) and lower the others.
        sign = torch.full((1, NUM_CLASSES, 1, 1), -0.5)
        sign[:, [TP, FN]] = 0.5
        self.register_buffer("sign", sign, persistent=False)
        self.sign: Tensor
        # Depthwise convolutions run faster in this layout on CPUs (0.8 of the time of a training step).
        self.to(memory_format=torch.channels_last)

    def encode_image(self, image: Tensor) -> CompactFeatures:
        """See `Assessor.encode_image`; includes object and edge logits."""
        features = super().encode_image(image)
        pixels = self.pixel_decoder(features.embedding, features.levels, features.padded_size)
        logits = [None if head is None else head(pixels) for head in (self.object_head, self.edge_head)]
        return CompactFeatures(**vars(features), pixels=pixels, object_logits=logits[0], edge_logits=logits[1])

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        assert isinstance(features, CompactFeatures), "features come from encode_image"
        masks, size = mask.shape[0], (mask.shape[-2], mask.shape[-1])
        mask1, mask4, mask16 = self.mask_pyramid(mask)
        source = features.embedding + mask16  # (B, C, g_h, g_w)
        grid = source.shape[-2:]
        position = self.position((grid[0], grid[1])).unsqueeze(0).expand(masks, -1, -1, -1)
        tokens = self.class_tokens.weight.unsqueeze(0).expand(masks, -1, -1)
        tokens, source = self.transformer(source, position, tokens)  # (B, 4, C), (B, g_h*g_w, C)
        source = self.reduce16(source.transpose(1, 2).reshape(masks, -1, *grid))  # (B, 48, g_h, g_w)

        seen = [features.pixels, resize(source, (size[0] // 4, size[1] // 4)), mask4]
        if features.object_logits is not None:
            probability = features.object_logits.sigmoid()
            # Agreement of object and mask, from -1 (contradiction) to 1.
            seen += [probability, (2 * probability - 1) * (2 * F.avg_pool2d(mask, 4) - 1)]
        pixels = self.compare(torch.cat(seen, dim=1))  # (B, 48, h/4, w/4)
        weights = torch.stack([head(tokens[:, index]) for index, head in enumerate(self.class_heads)], dim=1)  # (B, 4, 48)
        coarse = torch.einsum("bkc,bchw->bkhw", weights, pixels) / PIXEL_DIM**0.5
        coarse = resize(coarse, size)  # (B, 4, h, w)

        object_logits = None if features.object_logits is None else resize(features.object_logits, size)  # (B, 1, h, w)
        edge_logits = None if features.edge_logits is None else resize(features.edge_logits, size)
        if object_logits is not None:
            coarse = coarse + self.sign * object_logits
        gated = coarse if edge_logits is None else coarse + coarse * edge_logits.sigmoid()
        extras = [extra for extra in (edge_logits, object_logits) if extra is not None]
        quality_logits = gated + self.full_head(torch.cat([gated, *extras, mask1], dim=1))
        return AssessorOutput(quality_logits, edge_logits, coarse, object_logits=object_logits)
