"""The four-class mask decoder: SAM's (arXiv 2304.02643) with one HQ token per class (HQ-SAM, arXiv 2306.01567)."""

import torch
from torch import Tensor, nn

from segassess.models.assessor.sam_parts import MLP, LayerNorm2d, TwoWayTransformer
from segassess.models.assessor.sam_parts import MaskDecoder as SamMaskDecoder
from segassess.quality import NUM_CLASSES


def _upscaling(channels_in: int, channels_hidden: int, channels_out: int) -> nn.Sequential:
    """Two transposed convolutions to four times the size, as in SAM but without the last activation."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_hidden, kernel_size=2, stride=2),
        LayerNorm2d(channels_hidden),
        nn.GELU(),
        nn.ConvTranspose2d(channels_hidden, channels_out, kernel_size=2, stride=2),
    )


class MaskDecoder(nn.Module):
    """Decodes an image embedding and a prompted mask into coarse quality logits at stride 4.

    `width` counts the embedding's channels C, a multiple of 16 (256 in SAM), `level_dim` the channels D of the level that the
    HQ tokens read; None builds no HQ tokens. SAM's IoU head is frozen and never run; it only makes SAM's checkpoints fit.
    """

    def __init__(self, width: int, level_dim: int | None) -> None:
        super().__init__()
        shell = SamMaskDecoder(
            transformer_dim=width,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, num_heads=8, mlp_dim=8 * width),
            num_multimask_outputs=NUM_CLASSES - 1,
            iou_head_hidden_dim=width,
        )
        self.transformer: nn.Module = shell.transformer
        self.iou_token: nn.Embedding = shell.iou_token
        self.mask_tokens: nn.Embedding = shell.mask_tokens
        self.output_upscaling: nn.Module = shell.output_upscaling
        self.output_hypernetworks_mlps: nn.ModuleList = shell.output_hypernetworks_mlps
        self.iou_prediction_head: nn.Module = shell.iou_prediction_head.requires_grad_(False)

        self.has_hq_tokens = level_dim is not None
        if level_dim is not None:
            fine, middle = width // 8, width // 4
            self.hf_token = nn.Embedding(NUM_CLASSES, width)
            self.hf_mlps = nn.ModuleList(MLP(width, width, fine, 3) for _ in range(NUM_CLASSES))
            self.compress_vit_feat = _upscaling(level_dim, width, fine)
            self.embedding_encoder = _upscaling(width, middle, fine)
            self.embedding_maskfeature = nn.Sequential(
                nn.Conv2d(fine, middle, kernel_size=3, padding=1),
                LayerNorm2d(middle),
                nn.GELU(),
                nn.Conv2d(middle, fine, kernel_size=3, padding=1),
            )

    def hq_features(self, embedding: Tensor, level: Tensor) -> Tensor:
        """Mask-independent features (B, C / 8, 4 gh, 4 gw) from embedding (B, C, gh, gw) and earliest level (B, D, gh, gw)."""
        encoded: Tensor = self.embedding_encoder(embedding)
        compressed: Tensor = self.compress_vit_feat(level)
        return encoded + compressed

    def forward(
        self, embedding: Tensor, prompt: Tensor, positions: Tensor, hq_features: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Decode to SAM's and the HQ tokens' logits, each (B, 4, 4 gh, 4 gw); the latter is None without HQ tokens.

        Embedding and prompt are float (B, C, gh, gw), positions (1, C, gh, gw), hq_features (B, C / 8, 4 gh, 4 gw) or None.
        """
        batch, width, height, breadth = embedding.shape
        weights = [self.iou_token.weight, self.mask_tokens.weight]
        if hq_features is not None:
            weights.append(self.hf_token.weight)
        tokens = torch.cat(weights).expand(batch, -1, -1)  # (B, 5 or 9, C)
        tokens, attended = self.transformer(embedding + prompt, positions.expand(batch, -1, -1, -1), tokens)
        attended = attended.transpose(1, 2).reshape(batch, width, height, breadth)  # (B, C, gh, gw)

        upscaled = self.output_upscaling(attended)  # (B, C / 8, 4 gh, 4 gw)
        sam_logits = _project(self.output_hypernetworks_mlps, tokens[:, 1 : 1 + NUM_CLASSES], upscaled)
        if hq_features is None:
            return sam_logits, None
        # The sum goes THROUGH the convolutions; in HQ-SAM the image features are added after them.
        refined = self.embedding_maskfeature(upscaled + hq_features)  # (B, C / 8, 4 gh, 4 gw)
        return sam_logits, _project(self.hf_mlps, tokens[:, 1 + NUM_CLASSES :], refined)


def _project(networks: nn.ModuleList, tokens: Tensor, features: Tensor) -> Tensor:
    """Per-class dot product of hypernetwork outputs with features: (B, K, C), (B, F, h, w) -> (B, K, h, w)."""
    weights = torch.stack([network(tokens[:, index]) for index, network in enumerate(networks)], dim=1)  # (B, K, F)
    return torch.einsum("bkf,bfhw->bkhw", weights, features)
