"""Blocks of SAM's vision transformer that do less work give what SAM's own give."""

import pytest
import torch

from segassess.models.assessor.encoders.sam_vit import SamVitEncoder, VitBlock
from segassess.models.assessor.sam_parts import Block

WIDTH, HEADS, STORED = 24, 3, 64


def blocks(window):
    """SAM's block and ours with the same weights, of which none is zero."""
    torch.manual_seed(1)
    size = STORED if window == 0 else window
    theirs, ours = (
        kind(dim=WIDTH, num_heads=HEADS, use_rel_pos=True, window_size=window, input_size=(size, size))
        for kind in (Block, VitBlock)
    )
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


# Whole windows, cut below, cut on the right, cut on both sides, only cut ones, and one row.
@pytest.mark.parametrize("grid", [(28, 14), (20, 14), (14, 31), (17, 33), (5, 9), (1, 40)])
@pytest.mark.parametrize("training", [False, True])
def test_windows(grid, training):
    theirs, ours = blocks(14)
    tokens = torch.randn(2, *grid, WIDTH, requires_grad=training)
    expected, found = theirs(tokens), ours(tokens)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)
    if training:
        weights = torch.randn_like(found)
        (wanted, *others), (got, *mine) = (
            torch.autograd.grad((output * weights).sum(), [tokens, *block.parameters()])
            for block, output in ((theirs, expected), (ours, found))
        )
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
        assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-3) for one, other in zip(mine, others, strict=True))
        assert all(gradient.abs().max() > 0 for gradient in mine)


@pytest.mark.parametrize("grid", [(4, 4), (6, 3)])
@pytest.mark.parametrize("training", [False, True])
def test_without_windows(grid, training):
    theirs, ours = blocks(0)
    tokens = torch.randn(2, *grid, WIDTH, requires_grad=training)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-4, atol=2e-5)


def test_a_padding_token_that_outweighs_all_others_does_not_overflow():
    theirs, ours = blocks(14)
    for block in (theirs, ours):
        block.attn.rel_pos_h.data *= 200
    tokens = torch.randn(1, 3, 3, WIDTH)
    with torch.no_grad():
        expected, found = theirs(tokens), ours(tokens)
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


def test_recomputing_gives_the_same_gradients():
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(2)
        encoder = SamVitEncoder(WIDTH, 4, HEADS, (0, 1, 2, 3), recompute=recompute)
        image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        embedding, levels = encoder(image)
        (embedding.square().mean() + levels[1].mean()).backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
