"""A Segment Anything small enough for a test."""

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


def tiny_sam(checkpoint=None) -> Sam:
    """SAM for images of 64 px with random weights; a builder like those of the package's registry."""
    assert checkpoint is None
    return Sam(
        ImageEncoderViT(
            img_size=64,
            embed_dim=16,
            depth=1,
            num_heads=2,
            out_chans=16,
            use_rel_pos=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        ),
        PromptEncoder(embed_dim=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4),
        MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(depth=1, embedding_dim=16, num_heads=2, mlp_dim=16)),
    ).eval()
