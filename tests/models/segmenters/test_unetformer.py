"""UNetFormer: window attention of maps of any size, and the parts of its decoder."""

import pytest
import torch

from segassess.errors import ConfigError
from segassess.models.segmenters.unetformer import GlobalLocalBlock, WeightedFusion, WindowAttention, _moving_mean
from tests.models.segmenters.base import SegmenterContract


class TestUNetFormer(SegmenterContract):
    name = "unetformer"
    auxiliaries = 1
    option = ("width", 24)

    def test_a_width_that_the_heads_do_not_divide(self):
        with pytest.raises(ConfigError, match=r"^segmenter\.width must be a multiple of segmenter\.heads=6, not 64\.$"):
            self.build(width=64)


def by_hand(attention, features):
    """Attention window by window and pixel by pixel, from the definition."""
    window, heads = attention.window, attention.heads
    _, channels, height, width = features.shape
    qkv = attention.to_qkv(features)[0].view(3, heads, channels // heads, height, width)
    result = torch.zeros_like(features)
    for row in range(height):
        for column in range(width):
            top, left = row // window * window, column // window * window
            keys = [(r, c) for r in range(top, min(top + window, height)) for c in range(left, min(left + window, width))]
            for head in range(heads):
                scores = []
                for r, c in keys:
                    index = (row - r + window - 1) * (2 * window - 1) + column - c + window - 1
                    product = qkv[0, head, :, row, column] @ qkv[1, head, :, r, c] / (channels // heads) ** 0.5
                    scores.append(product + attention.position_bias[index, head])
                shares = torch.stack(scores).softmax(0)
                value = sum(share * qkv[2, head, :, r, c] for share, (r, c) in zip(shares, keys, strict=True))
                result[0].view(heads, channels // heads, height, width)[head, :, row, column] = value
    return result


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (2, 2)])
@pytest.mark.parametrize("window", [2, 3])
def test_window_attention_is_its_definition_also_beyond_the_edge(size, window):
    torch.manual_seed(0)
    attention = WindowAttention(4, 2, window)
    torch.nn.init.normal_(attention.position_bias)
    features = torch.randn(1, 4, *size)
    with torch.no_grad():
        torch.testing.assert_close(attention(features), by_hand(attention, features), rtol=1e-4, atol=1e-5)
        # Of several images each has its own windows and its own mask.
        torch.testing.assert_close(attention(torch.cat([features + 1, features]))[1:], attention(features))


@pytest.mark.parametrize("window", [3, 8])
def test_a_block_lets_neighbouring_windows_exchange(window):
    torch.manual_seed(0)
    block = GlobalLocalBlock(16, 4, window).eval()
    features = torch.randn(1, 16, 2 * window, 2 * window + 3, requires_grad=True)
    block(features)[0, :, window // 2, window // 2].sum().backward()
    reach = features.grad.abs().sum(1)[0] > 0
    assert reach[:window, :window].all() and reach[0, window:].any() and reach[window:, 0].any()


def test_moving_mean_repeats_the_border():
    rows = torch.arange(5.0).view(1, 1, 5, 1)
    assert _moving_mean(rows, 3).flatten().tolist() == pytest.approx([1 / 3, 1, 2, 3, 11 / 3])
    assert _moving_mean(rows, 4).flatten().tolist() == pytest.approx([0.75, 1.5, 2.5, 3.25, 3.75])


def test_fusion_weighs_the_two_with_shares_of_one():
    fusion = WeightedFusion(2, 2).eval()
    fusion.smooth = torch.nn.Identity()
    torch.nn.init.dirac_(fusion.project.weight)
    with torch.no_grad():
        fusion.weights.copy_(torch.tensor([3.0, 1.0]))
        fused = fusion(torch.full((1, 2, 4, 4), 8.0), torch.zeros(1, 2, 2, 2))
    torch.testing.assert_close(fused, torch.full((1, 2, 4, 4), 6.0))
