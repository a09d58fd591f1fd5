"""What both trained baselines must do beyond `models/assessor/test_compositions.py`, which runs every assessor by name."""

import pytest
import torch
from torch import nn

from segassess.errors import ConfigError
from segassess.models.assessor.checkpoint import load_checkpoint
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.encoders.efficientnet_lite import EfficientNetLite
from segassess.models.assessor.trained_assessor import Description, load_assessor, save_assessor
from segassess.training.losses import AssessorLoss, LossWeights
from tests.models.assessor.models import CnnLikeEncoder

ENCODERS = ({"name": "efficientnet_lite0", "pretrained": False, "embedding_dim": 64}, {"name": "sam_vit_tiny"})


def batch(size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two noise images whose bright square is the object, and masks that are shifted squares."""
    generator = torch.Generator().manual_seed(1)
    image = 0.3 * torch.rand(2, 3, size, size, generator=generator)
    mask, truth = torch.zeros(2, 1, 2, size, size).unbind(2)
    truth[..., 16:40, 16:40], mask[..., 22:46, 16:40] = 1, 1
    return image + 0.6 * truth, mask, truth


class TrainedBaseline:
    """Checks of one baseline on every encoder; subclasses set `spec` and `network`.

    Attributes:
        spec: what a config says.
        network: the class it names.
    """

    spec: dict
    network: type[nn.Module]

    @pytest.fixture(autouse=True, scope="class")
    def one_thread(self):
        """Small tensors are faster on one thread, and cores are shared with others."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @pytest.fixture(params=ENCODERS, ids=[encoder["name"] for encoder in ENCODERS])
    def encoder(self, request):
        return request.param

    @pytest.fixture
    def model(self, encoder):
        torch.manual_seed(0)
        return build_assessor(self.spec, encoder)

    def test_the_registry_builds_it(self, model):
        assert type(model) is self.network

    def test_training_lowers_the_loss_and_opens_the_mask_channel(self, model):
        image, mask, truth = batch()
        loss = AssessorLoss(LossWeights(1.0, 0.5, 0.0, 1.0), (1.0, 2.0, 0.5, 2.0))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        losses = []
        for _ in range(6):
            terms = loss(model(image, mask), mask, truth, torch.ones_like(mask, dtype=torch.bool))
            optimizer.zero_grad()
            terms["loss"].backward()
            assert model.mask_stem.weight.grad.abs().max() > 0
            optimizer.step()
            losses.append(terms["loss"].item())
        assert set(terms) == {"loss", "cross_entropy", "dice"}
        assert losses[-1] < losses[0] - 0.03
        assert model.mask_stem.weight.abs().max() > 1e-4

    def test_a_new_encoder_ignores_the_mask_and_an_opened_one_does_not(self, model):
        image, mask, _ = batch()
        model.eval()
        with torch.no_grad():
            features = model.encode_image(image)
            new = [model._encode_jointly(features, each)[1] for each in (mask, 1 - mask)]
            model.mask_stem.weight += 0.1
            opened = [model._encode_jointly(features, each)[1] for each in (mask, 1 - mask)]
        assert torch.equal(*new)
        assert not torch.allclose(*opened)

    def test_two_stems_are_one_convolution_of_four_channels(self, model):
        image, mask, _ = batch()
        model.eval()
        encoder = model.image_encoder
        lite = isinstance(encoder, EfficientNetLite)
        holder, name = (encoder.backbone, "conv_stem") if lite else (encoder.patch_embed, "proj")
        with torch.no_grad():
            nn.init.normal_(model.mask_stem.weight, std=0.1)
            channels, embedding, _ = model._encode_jointly(model.encode_image(image), mask)
            rgb = getattr(holder, name)
            joint = type(rgb)(4, rgb.out_channels, rgb.kernel_size, rgb.stride, bias=rgb.bias is not None)
            joint.weight.copy_(torch.cat([rgb.weight, model.mask_stem.weight], dim=1))
            if rgb.bias is not None:
                joint.bias.copy_(rgb.bias)
            setattr(holder, name, joint)
            torch.testing.assert_close(encoder(channels)[0], embedding, atol=1e-4, rtol=1e-4)

    def test_saved_and_loaded_it_says_the_same(self, model, encoder, tmp_path):
        image, mask, _ = batch()
        path = tmp_path / "baseline.safetensors"
        nn.init.normal_(model.mask_stem.weight, std=0.1)
        save_assessor(path, model, Description(self.spec, encoder, "consistent"))
        loaded = load_assessor(path)
        assert type(loaded.assessor) is self.network and loaded.report.missing == ()
        with torch.no_grad():
            assert torch.equal(loaded.assessor(image, mask).quality_logits, model.eval()(image, mask).quality_logits)

    def test_public_weights_of_sam_start_it(self, tmp_path):
        torch.manual_seed(3)
        sam = {
            name: tensor
            for name, tensor in build_assessor({"name": "segassess"}, ENCODERS[1]).state_dict().items()
            if not name.startswith(("edge_branch", "mask_decoder.h", "mask_decoder.compress", "mask_decoder.embedding"))
        }
        torch.save(sam, tmp_path / "sam.pth")
        model = build_assessor(self.spec, ENCODERS[1])
        report = load_checkpoint(model, tmp_path / "sam.pth")
        assert report.layout == "sam" and report.misshapen == ()
        state = model.image_encoder.state_dict()
        assert all(torch.equal(tensor, sam[f"image_encoder.{name}"]) for name, tensor in state.items())

    def test_an_encoder_of_rgb_alone_is_refused(self):
        with pytest.raises(ConfigError, match="CnnLikeEncoder reads only RGB"):
            self.network(CnnLikeEncoder())

    @pytest.mark.parametrize("width", [0, 7, 16.0])
    def test_a_wrong_width_is_refused(self, width):
        with pytest.raises(ConfigError, match=rf"assessor\.width must be .* not {width}"):
            build_assessor({**self.spec, "width": width}, ENCODERS[1])

    def test_an_unknown_option_is_refused(self):
        with pytest.raises(ConfigError, match=rf"assessor\.depth is not an option of {self.spec['name']}; it has width"):
            build_assessor({**self.spec, "depth": 1}, ENCODERS[1])
