"""TransUNet: any size through one transformer, on a hybrid and on a convolutional encoder."""

import pytest
import timm
import torch

from segassess.errors import ConfigError
from segassess.models.segmenters.transunet import HybridStem, TokenTrunk
from tests.models.segmenters.base import SegmenterContract, images


class TestTransUNet(SegmenterContract):
    name = "transunet"

    def test_the_transformer_has_the_wanted_form(self, segmenter):
        assert len(segmenter.trunk.blocks) == 4 and segmenter.trunk.blocks[0].attn.num_heads == 3
        assert segmenter.trunk.position.shape == (1, 14 * 14, 192)

    def test_only_positions_tell_equal_features_apart(self):
        trunk = self.build().eval().trunk
        features = torch.ones(1, trunk.projection.in_channels, 3, 5)
        with torch.no_grad():
            assert trunk(features).flatten(2).std(dim=2).max() > 1e-3
            trunk.position.zero_()
            assert trunk(features).flatten(2).std(dim=2).max() < 1e-5

    def test_a_width_that_the_heads_do_not_divide(self):
        with pytest.raises(ConfigError, match=r"^segmenter\.token_width must be a multiple of segmenter\.heads=3, not 100\.$"):
            self.build(token_width=100)

    @pytest.mark.parametrize("encoder", ["vit_small_r26_s32_224", "vit_tiny_r_s16_p8_224", "vit_small_patch16_224"])
    def test_transformers_of_another_form_are_refused(self, encoder):
        with pytest.raises(ConfigError, match=rf"^segmenter\.encoder={encoder} .*: choose .*\.$"):
            self.build(encoder=encoder, token_width=48, heads=3, depth=1)


def test_stem_and_trunk_compute_what_timm_s_hybrid_computes():
    torch.manual_seed(0)
    vit = timm.create_model("vit_base_r50_s16_224", embed_dim=48, num_heads=3, depth=2, num_classes=0, img_size=64).eval()
    stem, trunk = HybridStem(vit.patch_embed.backbone).eval(), TokenTrunk(vit).eval()
    image = images(1, 64, 64)
    with torch.no_grad():
        features = stem(image)
        assert [tuple(each.shape[1:]) for each in features] == [(64, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4)]
        assert stem.channels == (64, 256, 512, 1024)
        tokens, grid = vit.patch_embed(image), trunk.projection(features[-1])
        torch.testing.assert_close(grid.flatten(2).transpose(1, 2), tokens)
        expected = vit.norm(vit.blocks(tokens + vit.pos_embed[:, 1:]))
        torch.testing.assert_close(trunk(features[-1]).flatten(2).transpose(1, 2), expected)
