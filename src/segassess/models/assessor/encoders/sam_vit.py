"""SAM's vision transformer as an image encoder for any image size (arXiv 2304.02643; ViTDet, arXiv 2203.16527).

Parameters keep SAM's names and shapes. New: the positional embedding is resampled to the grid, the outputs of the global blocks
are kept, and padding tokens cost no linear layer.
"""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.models.assessor.encoders.base import ImageEncoder, zero_convolution
from segassess.models.assessor.sam_parts import Block, ImageEncoderViT, get_rel_pos, window_partition, window_unpartition

PATCH = 16
WINDOW = 14
STORED_GRID = 64  # SAM was pretrained at 1024 px; its positional parameters are stored for 1024 / 16 tokens a side.


# Token width, number of blocks, attention heads, indices of the global blocks.
SIZES = {
    "sam_vit_b": (768, 12, 12, (2, 5, 8, 11)),
    "sam_vit_l": (1024, 24, 16, (5, 11, 17, 23)),
    "sam_vit_h": (1280, 32, 16, (7, 15, 23, 31)),
    # Small enough for tests and debugging; no weights are published for it.
    "sam_vit_tiny": (192, 8, 4, (1, 3, 5, 7)),
}

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class VitBlock(Block):  # type: ignore[misc]  # the package is untyped
    """SAM's transformer block with the same parameters and results, but less work.

    SAM pads the token grid to whole windows after the first norm; query, key and value of such a token are the projection's
    bias, filled in here instead of computed (49 % of the tokens at 320 px).
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, gh, gw, D) -> (B, gh, gw, D)."""
        tokens = tokens + self._attend(self.norm1(tokens))
        mixed: Tensor = self.mlp(self.norm2(tokens))
        return tokens + mixed

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, height, width, _ = tokens.shape
        qkv: Tensor = self.attn.qkv(tokens)  # (B, gh, gw, 3D)
        if self.window_size == 0:
            attended = self._attention(qkv)  # (B, gh, gw, D)
        else:
            bottom, right = -height % self.window_size, -width % self.window_size
            if bottom or right:
                padded = self.attn.qkv.bias.to(qkv.dtype).expand(batch, height + bottom, width + right, -1).clone()
                padded[:, :height, :width] = qkv
                qkv = padded
            windows, padded_grid = window_partition(qkv, self.window_size)  # (B * n, 14, 14, 3D)
            attended = window_unpartition(self._attention(windows), self.window_size, padded_grid, (height, width))
        projected: Tensor = self.attn.proj(attended)
        return projected

    def _attention(self, qkv: Tensor) -> Tensor:
        """Attention with decomposed relative positions within each grid: (N, h, w, 3D) -> (N, h, w, D)."""
        number, height, width, _ = qkv.shape
        heads = self.attn.num_heads
        split = qkv.reshape(number, height * width, 3, heads, -1).permute(2, 0, 3, 1, 4)  # (3, N, heads, hw, d)
        query, key, value = split.unbind(0)
        # The decomposed positional term (arXiv 2112.01526) takes the unscaled query; only query . key is scaled.
        grid = query.reshape(number, heads, height, width, -1)
        rows = torch.einsum("nahwd,hkd->nahwk", grid, get_rel_pos(height, height, self.attn.rel_pos_h).to(grid.dtype))
        columns = torch.einsum("nahwd,wkd->nahwk", grid, get_rel_pos(width, width, self.attn.rel_pos_w).to(grid.dtype))
        bias = (rows[..., :, None] + columns[..., None, :]).reshape(number, heads, height * width, height * width)
        attended: Tensor = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)  # (N, heads, hw, d)
        return attended.transpose(1, 2).reshape(number, height, width, -1)


class SamVitEncoder(ImageEncoder):
    """SAM's image encoder at any input size; `SIZES` has SAM's own and a tiny one.

    Parameters do not depend on the image size. The levels are the outputs of the global blocks; other blocks attend within 14 x
    14 windows. `dim` is the token width D, a multiple of `heads`.
    """

    embedding_dim = 256
    pad_multiple = PATCH
    # Resampled positions and padded windows depend on the size through Python numbers.
    any_size_graph = False
    mean = (123.675 / 255, 116.28 / 255, 103.53 / 255)
    std = (58.395 / 255, 57.12 / 255, 57.375 / 255)

    def __init__(self, dim: int, depth: int, heads: int, global_blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.global_blocks = tuple(global_blocks)
        self.level_dims = (dim,) * len(self.global_blocks)
        self.level_strides = (PATCH,) * len(self.global_blocks)

        shell = ImageEncoderViT(img_size=STORED_GRID * PATCH, embed_dim=dim, depth=0, out_chans=self.embedding_dim)
        self.pos_embed: nn.Parameter = shell.pos_embed
        self.patch_embed: nn.Module = shell.patch_embed
        self.blocks = nn.ModuleList(
            VitBlock(
                dim=dim,
                num_heads=heads,
                norm_layer=LayerNorm,
                use_rel_pos=True,
                window_size=0 if index in self.global_blocks else WINDOW,
                input_size=(STORED_GRID, STORED_GRID),
            )
            for index in range(depth)
        )
        self.neck: nn.Module = shell.neck

    def extra_stem(self, channels: int) -> nn.Conv2d:
        """See `ImageEncoder.extra_stem`: (B, channels, h, w) -> (B, D, h//16, w//16)."""
        return zero_convolution(cast(nn.Conv2d, self.patch_embed.proj), channels)

    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `ImageEncoder.forward`; levels are (B, D, h//16, w//16), one per global block.

        h and w are at least 16; pixels beyond a multiple of 16 are not seen.
        """
        tokens = self.patch_embed(image)  # (B, gh, gw, D)
        if extra is not None:
            tokens = tokens + extra.permute(0, 2, 3, 1)
        tokens = tokens + self._positions((tokens.shape[1], tokens.shape[2]))
        levels: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.global_blocks:
                levels.append(tokens.permute(0, 3, 1, 2))  # (B, D, gh, gw)
        embedding = self.neck(tokens.permute(0, 3, 1, 2))  # (B, C, gh, gw)
        return embedding, tuple(levels)

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Absolute positional embedding resampled to `grid`: (1, gh, gw, D)."""
        stored = self.pos_embed.permute(0, 3, 1, 2)
        return F.interpolate(stored, size=grid, mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
