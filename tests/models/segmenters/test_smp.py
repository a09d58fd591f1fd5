"""Any architecture of segmentation-models-pytorch."""

import pytest
import segmentation_models_pytorch as smp
import torch

from segassess.errors import ConfigError
from segassess.models.segmenters.architectures import build_segmenter
from segassess.models.segmenters.smp import ARCHITECTURES, smp_scaling
from tests.models.segmenters.base import SegmenterContract, images


class TestSmp(SegmenterContract):
    name = "smp"
    size = "full"
    option = ("arch", "Linknet")

    @pytest.mark.parametrize("arch", ARCHITECTURES)
    def test_architectures_take_any_size(self, arch):
        segmenter = self.build(arch=arch).eval()
        with torch.no_grad():
            assert segmenter(images(1, 65, 40)).logits.shape == (1, 1, 65, 40)

    def test_a_transformer_takes_any_size(self):
        segmenter = self.build(arch="DPT", encoder="tu-vit_tiny_patch16_224").eval()
        with torch.no_grad():
            assert segmenter(images(1, 65, 40)).logits.shape == (1, 1, 65, 40)

    def test_an_encoder_of_timm(self):
        segmenter = self.build(encoder="tu-tf_efficientnet_lite0")
        assert segmenter.mean.flatten().tolist() == [0.5, 0.5, 0.5]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"arch": "Unett"}, r"segmenter\.arch .*Unet, .*'Unett'\."),
            ({"arch": "DPT", "encoder": "resnet18"}, r"segmenter\.encoder=resnet18 .*DPT .*\."),
            ({"arch": "PAN", "encoder": "tu-hrnet_w18_small"}, r"segmenter\.encoder=tu-hrnet_w18_small .*PAN .*\."),
        ],
    )
    def test_wrong_names_are_one_sentence(self, options, message):
        with pytest.raises(ConfigError, match=f"^{message}$"):
            self.build(**options)


def test_scaling_of_the_library_s_encoders_comes_with_their_weights(monkeypatch):
    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", lambda encoder: {"mean": [0.1] * 3, "std": [0.2] * 3})
    assert smp_scaling("vgg11", pretrained=True) == ((0.1,) * 3, (0.2,) * 3)
    assert smp_scaling("vgg11", pretrained=False)[0] == (0.485, 0.456, 0.406)


def test_scaling_travels_with_the_weights():
    spec = {"name": "smp", "pretrained": False, "encoder": "resnet18"}
    source = build_segmenter(spec)
    source.mean.fill_(0.3)
    target = build_segmenter(spec)
    target.load_state_dict(source.state_dict())
    assert target.mean.flatten().tolist() == pytest.approx([0.3] * 3)


def test_weights_that_cannot_be_downloaded_are_one_sentence(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("Name or service not known\nmore lines")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", fail)
    with pytest.raises(ConfigError, match=r"^.*resnet18 .*\(Name or service not known\).*pretrained=false\.$"):
        build_segmenter({"name": "smp", "encoder": "resnet18", "pretrained": True})
