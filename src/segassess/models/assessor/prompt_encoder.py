"""The mask under evaluation as a dense prompt (SAM's prompt encoder, arXiv 2304.02643, appendix A)."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from segassess.models.assessor.base import resize
from segassess.models.assessor.sam_parts import PromptEncoder as SamPromptEncoder

PromptPath: TypeAlias = Literal["reference", "antialiased"]

MASK_CHANNELS = 16  # SAM's hidden width of the mask path, whatever the embedding's.


class PromptEncoder(nn.Module):
    """Embeds a full-resolution mask, and the positions of the token grid, in `width` (even) channels.

    SAM expects a 256 px mask for a 1024 px image; here the mask embedding lies at stride 4 and is resampled to stride 16.
    `path` "reference" resamples bilinearly, which reads the central 2 x 2 of every 4 x 4 cell; "antialiased" reads all of it.

    The embeddings of points, boxes and "no mask" only make SAM's checkpoints fit; distributed training would wait for their
    gradients, so they are frozen.
    """

    def __init__(self, width: int, path: PromptPath = "reference") -> None:
        super().__init__()
        self.path = path
        shell = SamPromptEncoder(
            embed_dim=width, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=MASK_CHANNELS
        )
        self.pe_layer: nn.Module = shell.pe_layer
        self.point_embeddings: nn.Module = shell.point_embeddings.requires_grad_(False)
        self.not_a_point_embed: nn.Module = shell.not_a_point_embed.requires_grad_(False)
        self.mask_downscaling: nn.Module = shell.mask_downscaling
        self.no_mask_embed: nn.Module = shell.no_mask_embed.requires_grad_(False)

    def forward(self, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        """Embed masks (B, 1, h, w) in {0, 1} on the token grid (gh, gw): float (B, C, gh, gw)."""
        embedding: Tensor = self.mask_downscaling(mask)  # (B, C, h // 4, w // 4)
        return resize(embedding, grid, antialias=self.path == "antialiased")

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Random Fourier encoding (arXiv 2006.10739) of the token centres of the grid: float (1, C, gh, gw).

        Sines, then cosines of 2 pi (2 c - 1) G with centres c = (x, y) in [0, 1] and the buffer G (2, C / 2).
        """
        gaussian = self.pe_layer.get_buffer("positional_encoding_gaussian_matrix")  # (2, C / 2)
        # At least float32: half precision cannot resolve neighbouring angles.
        matrix = gaussian.to(torch.promote_types(gaussian.dtype, torch.float32))
        rows, columns = ((torch.arange(n, device=matrix.device, dtype=matrix.dtype) + 0.5) / n for n in grid)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        angles = 2 * torch.pi * ((2 * torch.stack([x, y], dim=-1) - 1) @ matrix)  # (gh, gw, C / 2)
        encoding = torch.cat([angles.sin(), angles.cos()], dim=-1).permute(2, 0, 1).unsqueeze(0)  # (1, C, gh, gw)
        return encoding.to(gaussian.dtype)
