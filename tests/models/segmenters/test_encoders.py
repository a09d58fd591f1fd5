"""Pretrained encoders by name."""

import pytest
import timm
import torch

from segassess.errors import ConfigError
from segassess.models.assessor.encoders.efficientnet_lite import EfficientNetLite
from segassess.models.segmenters.encoders import FeaturePyramid, create
from tests.models.segmenters.base import images


def test_the_installed_weights_are_those_of_the_assessor_s_encoder():
    pyramid, encoder = FeaturePyramid("efficientnet_lite0", pretrained=True).eval(), EfficientNetLite("efficientnet_lite0").eval()
    assert pyramid.channels == encoder.level_dims and pyramid.mean == encoder.mean
    with torch.no_grad():
        for ours, theirs in zip(pyramid(images(1, 64, 64)), encoder.backbone(images(1, 64, 64)), strict=True):
            # The pyramid computes in another order of memory.
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "resnet18"])
def test_stages_behind_the_last_stride_are_not_built(encoder):
    short = FeaturePyramid(encoder, pretrained=False, strides=(2, 4, 8, 16)).eval()
    whole = FeaturePyramid(encoder, pretrained=False, strides=(2, 4, 8, 16, 32)).eval()
    kept = set(short.state_dict())
    assert kept < set(whole.state_dict())
    short.load_state_dict({key: value for key, value in whole.state_dict().items() if key in kept})
    with torch.no_grad():
        for ours, theirs in zip(short(images(1, 64, 96)), whole(images(1, 64, 96)), strict=False):
            # The pyramid computes in another order of memory.
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    assert short.channels == whole.channels[:4] and whole.strides == (2, 4, 8, 16, 32)


def test_a_tag_of_timm_is_part_of_a_name():
    assert FeaturePyramid("resnet18.fb_swsl_ig1b_ft_in1k", pretrained=False).channels == (64, 128, 256, 512)


@pytest.mark.parametrize("encoder", ["swin_tiny_patch4_window7_224", "vit_small_patch16_224", "convnext_atto"])
def test_encoders_without_these_features_are_one_sentence(encoder):
    with pytest.raises(ConfigError, match=rf"^segmenter\.encoder={encoder} .*2, 4.*\.$"):
        FeaturePyramid(encoder, pretrained=False, strides=(2, 4))


def test_weights_that_cannot_be_downloaded_are_one_sentence(monkeypatch):
    def fail(name, pretrained=False, **options):
        raise OSError("Name or service not known\nmore lines")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ConfigError, match=r"^.*resnet18 .*\(Name or service not known\).*pretrained=false\.$"):
        create("resnet18", pretrained=True)
