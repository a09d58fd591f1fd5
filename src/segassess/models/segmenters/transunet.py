"""TransUNet (Chen et al., arXiv 2102.04306), the hybrid R50 + ViT-B/16 with a U-Net decoder, without dropout.

Position embeddings are interpolated from the pretraining's grid, so images can have any size; the reference fixes it.
"""

from typing import Any, cast

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from segassess.errors import ConfigError
from segassess.models.assessor.base import resize
from segassess.models.segmenters.base import Segmenter, SegmenterOutput, conv_norm_relu
from segassess.models.segmenters.encoders import LITE, FeaturePyramid, create, pretrained_config, scaling

STRIDES = (2, 4, 8, 16)
# Side of the grid of position embeddings: 224 px at stride 16, at which ViTs are pretrained.
GRID = 14


class HybridStem(nn.Module):
    """The convolutional part of a hybrid vision transformer of timm, a `ResNetV2` with three stages; strides 2, 4, 8, 16."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.stem: nn.Module = backbone.stem
        self.stages: nn.Module = backbone.stages
        self.channels: tuple[int, ...] = tuple(info["num_chs"] for info in backbone.feature_info)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, h, w) -> features (B, C_i, h/s, w/s) for s = 2, 4, 8, 16."""
        stem = cast(Any, self.stem)
        features = [stem.norm(stem.conv(image))]
        current = stem.pool(features[0])
        for stage in cast(nn.Sequential, self.stages):
            current = stage(current)
            features.append(current)
        return features


class TokenTrunk(nn.Module):
    """Projection to tokens, interpolated position embeddings, blocks and norm of a ViT; no class token."""

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.projection: nn.Module = vit.patch_embed.proj
        self.position = nn.Parameter(vit.pos_embed[:, vit.num_prefix_tokens :].detach().clone())  # (1, grid*grid, C)
        self.blocks: nn.Module = vit.blocks
        self.norm: nn.Module = vit.norm

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, C, h, w)."""
        projected = self.projection(features)
        size = projected.shape[-2:]
        position = resample_abs_pos_embed(self.position, list(size), num_prefix_tokens=0)
        tokens = self.norm(self.blocks(projected.flatten(2).transpose(1, 2) + position))  # (B, h*w, C)
        return cast(Tensor, tokens.transpose(1, 2).unflatten(2, size))


class UpBlock(nn.Module):
    """Doubles the size, joins a skip connection if there is one, and convolves twice."""

    def __init__(self, channels_in: int, channels_skip: int, channels_out: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_norm_relu(channels_in + channels_skip, channels_out, kernel=3),
            conv_norm_relu(channels_out, channels_out, kernel=3),
        )

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """(B, C, h, w) and a skip (B, D, 2h, 2w) or None -> (B, channels_out, 2h, 2w)."""
        doubled = resize(features, (2 * features.shape[-2], 2 * features.shape[-1]))
        return cast(Tensor, self.convs(doubled if skip is None else torch.cat([doubled, skip], dim=1)))


class TransUNet(Segmenter):
    """A hybrid vision transformer of timm at stride 16, or a convolutional encoder and a new transformer, and a U-Net decoder.

    `width` counts the decoder's channels at stride 16 (512 in the paper); later stages have a half, a quarter, an eighth and a
    thirty-second, but 16 at least. ViT-B has token_width 768, depth 12 and 12 heads.
    """

    SIZES = {
        "full": {
            "encoder": "vit_base_r50_s16_224",
            "pretrained": True,
            "width": 512,
            "token_width": 768,
            "depth": 12,
            "heads": 12,
        },
        "small": {"encoder": LITE, "pretrained": True, "width": 128, "token_width": 192, "depth": 4, "heads": 3},
    }
    pad_multiple = 16

    def __init__(self, *, encoder: str, pretrained: bool, width: int, token_width: int, depth: int, heads: int) -> None:
        if token_width % heads:
            raise ConfigError(f"segmenter.token_width must be a multiple of segmenter.heads={heads}, not {token_width}.")
        super().__init__(*scaling(encoder))
        trunk: dict[str, Any] = {"embed_dim": token_width, "depth": depth, "num_heads": heads, "num_classes": 0}
        if str(pretrained_config(encoder).first_conv).startswith("patch_embed.backbone.stem"):
            vit: Any = create(encoder, pretrained=pretrained, **trunk)
            stem: HybridStem | FeaturePyramid = HybridStem(vit.patch_embed.backbone)
            if len(stem.channels) != len(STRIDES):
                raise ConfigError(f"segmenter.encoder={encoder} does not end at stride 16: choose vit_base_r50_s16_224.")
        else:
            stem = FeaturePyramid(encoder, pretrained=pretrained, strides=STRIDES)
            vit = VisionTransformer(GRID, patch_size=1, in_chans=stem.channels[-1], class_token=False, global_pool="", **trunk)
        self.stem = stem
        self.trunk = TokenTrunk(vit)
        self.entry = conv_norm_relu(token_width, width, kernel=3)
        widths = (width, width // 2, width // 4, width // 8, max(width // 32, 16))
        skips = (*reversed(stem.channels[:3]), 0)
        self.ups = nn.ModuleList(
            UpBlock(before, skip, after) for before, skip, after in zip(widths, skips, widths[1:], strict=False)
        )
        self.classifier = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def _segment(self, image: Tensor) -> SegmenterOutput:
        *skips, deepest = self.stem(image)  # strides 2, 4, 8 and 16
        current = self.entry(self.trunk(deepest))  # (B, width, h/16, w/16)
        for up, skip in zip(self.ups, (*reversed(skips), None), strict=True):
            current = up(current, skip)
        return SegmenterOutput(self.classifier(current))  # (B, 1, h, w)
