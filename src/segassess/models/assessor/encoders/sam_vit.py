"""SAM's vision transformer as an image encoder for any image size (arXiv 2304.02643; ViTDet, arXiv 2203.16527).

Parameters keep SAM's names and shapes. New: the positional embedding is resampled to the grid, the outputs of the global blocks
are kept, and padding tokens cost nothing.
"""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from segassess.models.assessor.encoders.base import ImageEncoder, zero_convolution
from segassess.models.assessor.sam_parts import Block, ImageEncoderViT, get_rel_pos

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

    SAM pads the token grid to whole windows after the first norm, at 320 px to nearly twice its size. Here the windows at the
    border stay cut, and one more key stands for all padding tokens of a window, see `_attention`.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, gh, gw, D) -> (B, gh, gw, D)."""
        tokens = tokens + self._attend(self.norm1(tokens))
        mixed: Tensor = self.mlp(self.norm2(tokens))
        return tokens + mixed

    def _attend(self, tokens: Tensor) -> Tensor:
        qkv: Tensor = self.attn.qkv(tokens)  # (B, gh, gw, 3D)
        rows, columns = (self._parts(length) for length in tokens.shape[1:3])
        strips = [torch.cat([self._windows(qkv[:, each, other]) for other in columns], dim=2) for each in rows]
        projected: Tensor = self.attn.proj(torch.cat(strips, dim=1))
        return projected

    def _parts(self, length: int) -> list[slice]:
        """Rows or columns of tokens in whole windows, and those in cut ones."""
        whole = length // self.window_size * self.window_size if self.window_size else 0
        return [slice(start, stop) for start, stop in ((0, whole), (whole, length)) if start < stop]

    def _windows(self, qkv: Tensor) -> Tensor:
        """Attention within windows that are whole or cut alike, or in the whole grid: (B, h, w, 3D) -> (B, h, w, D)."""
        batch, height, width, _ = qkv.shape
        size = self.window_size or max(height, width)
        down, across = max(1, height // size), max(1, width // size)
        split = qkv.reshape(batch, down, height // down, across, width // across, -1).transpose(2, 3)
        attended = self._attention(split.flatten(0, 2)).reshape(batch, down, across, height // down, width // across, -1)
        return attended.transpose(2, 3).reshape(batch, height, width, -1)

    def _attention(self, qkv: Tensor) -> Tensor:
        """Attention with decomposed relative positions within each grid: (N, h, w, 3D) -> (N, h, w, D).

        In a window that is cut to h x w, padding tokens count as keys. All have the projection's bias as key and value, and their
        positional term is a sum over rows and columns, so the sum of their exponentials has a closed form.
        """
        number, height, width, _ = qkv.shape
        heads, scale = self.attn.num_heads, self.attn.scale
        query, key, value = qkv.reshape(number, height * width, 3, heads, -1).permute(2, 0, 3, 1, 4)  # each (N, heads, hw, d)
        # The decomposed positional term (arXiv 2112.01526) takes the unscaled query; only query . key is scaled.
        down, across = self.window_size or height, self.window_size or width
        grid = query.reshape(number, heads, height, width, -1)
        by_row = get_rel_pos(down, down, self.attn.rel_pos_h)[:height].to(grid.dtype)  # (h, 14, d) of a window
        by_column = get_rel_pos(across, across, self.attn.rel_pos_w)[:width].to(grid.dtype)
        rows = torch.einsum("nahwd,hkd->nahwk", grid, by_row).flatten(2, 3)  # (N, heads, hw, 14)
        columns = torch.einsum("nahwd,wkd->nahwk", grid, by_column).flatten(2, 3)
        padding = _log_sum_outside(rows, columns, height, width)  # (N, heads, hw, 1), or None in a whole window
        if padding is not None:
            _, key_bias, value_bias = self.attn.qkv.bias.to(qkv.dtype).reshape(3, 1, heads, 1, -1)
            key = torch.cat([key, key_bias.expand(number, -1, -1, -1)], dim=2)
            value = torch.cat([value, value_bias.expand(number, -1, -1, -1)], dim=2)
        attend = _attend_by_longer_keys if qkv.requires_grad else _attend_by_bias
        attended = attend(query, key, value, rows[..., :height], columns[..., :width], padding, scale)
        return attended.transpose(1, 2).reshape(number, height, width, -1)


def _log_sum_outside(rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor | None:
    """Logarithm of the sum of exp(row + column) over a window's cells but the first `height` x `width`, (..., 1); None without.

    Takes (..., window height) and (..., window width).
    """
    parts = []
    if height < rows.shape[-1]:
        parts.append(rows[..., height:].logsumexp(-1, keepdim=True) + columns.logsumexp(-1, keepdim=True))
    if width < columns.shape[-1]:
        parts.append(rows[..., :height].logsumexp(-1, keepdim=True) + columns[..., width:].logsumexp(-1, keepdim=True))
    return torch.cat(parts, dim=-1).logsumexp(-1, keepdim=True) if parts else None


def _attend_by_bias(
    query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor, padding: Tensor | None, scale: float
) -> Tensor:
    """Attention (N, heads, hw, d) with positional terms of rows (..., h), columns (..., w) and padding, as one bias."""
    # Contiguous, so that their sum is, and need not be copied.
    bias = (rows.contiguous()[..., :, None] + columns.contiguous()[..., None, :]).flatten(-2)  # (N, heads, hw, hw)
    if padding is not None:
        bias = torch.cat([bias, padding], dim=-1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)


def _attend_by_longer_keys(
    query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor, padding: Tensor | None, scale: float
) -> Tensor:
    """The same with the terms as further components of the query, which each key picks by ones at its row and column.

    Without a bias that has a gradient, no matrix of all pairs of tokens needs to be kept for the backward pass.
    """
    height, width, channels = rows.shape[-1], columns.shape[-1], query.shape[-1]
    terms = [rows, columns] if padding is None else [rows, columns, padding]
    longer = torch.cat([query, *(term / scale for term in terms)], dim=-1)
    picks = key.new_zeros(height, width, height + width)
    picks[..., :height] = torch.eye(height, dtype=key.dtype, device=key.device)[:, None]
    picks[..., height:] = torch.eye(width, dtype=key.dtype, device=key.device)
    picks = picks.flatten(0, 1)
    if padding is not None:
        picks = F.pad(picks, (0, 1, 0, 1))
        picks[-1, -1] = 1
    longer_keys = torch.cat([key, picks.expand(*key.shape[:2], -1, -1)], dim=-1)
    # The kernels want values as long as the keys.
    values = F.pad(value, (0, picks.shape[-1]))
    return F.scaled_dot_product_attention(longer, longer_keys, values, scale=scale)[..., :channels]


class SamVitEncoder(ImageEncoder):
    """SAM's image encoder at any input size; `SIZES` has SAM's own and a tiny one.

    Parameters do not depend on the image size. The levels are the outputs of the global blocks; other blocks attend within 14 x
    14 windows. `dim` is the token width D, a multiple of `heads`. With `recompute` a training keeps only what goes from block to
    block and computes the rest again in the backward pass (arXiv 1604.06174): the same gradients for less memory and more time.
    """

    embedding_dim = 256
    pad_multiple = PATCH
    # Resampled positions and padded windows depend on the size through Python numbers.
    any_size_graph = False
    mean = (123.675 / 255, 116.28 / 255, 103.53 / 255)
    std = (58.395 / 255, 57.12 / 255, 57.375 / 255)

    def __init__(self, dim: int, depth: int, heads: int, global_blocks: tuple[int, ...], *, recompute: bool = False) -> None:
        super().__init__()
        self.recompute = recompute
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
            again = self.recompute and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
            if index in self.global_blocks:
                levels.append(tokens.permute(0, 3, 1, 2))  # (B, D, gh, gw)
        embedding = self.neck(tokens.permute(0, 3, 1, 2))  # (B, C, gh, gw)
        return embedding, tuple(levels)

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Absolute positional embedding resampled to `grid`: (1, gh, gw, D)."""
        stored = self.pos_embed.permute(0, 3, 1, 2)
        return F.interpolate(stored, size=grid, mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
