"""What every segmenter network must do; each one's test class inherits these checks and adds its own."""

import inspect

import pytest
import torch
from torch.nn import functional as F

from segassess.errors import ConfigError, InputError
from segassess.models.segmenters.architectures import SEGMENTERS, build_segmenter, resolved_spec
from segassess.synthetic import make_scene


def images(batch, height, width, seed=0):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def loss_of(segmenter, image, truth):
    output = segmenter(image)
    loss = F.binary_cross_entropy_with_logits(output.logits, truth)
    for logits in output.auxiliary:
        loss = loss + segmenter.auxiliary_weight * F.binary_cross_entropy_with_logits(logits, truth)
    return loss


class SegmenterContract:
    """Subclasses set what is particular to their segmenter."""

    name: str
    size = "small"
    auxiliaries = 0
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    # An option other than the encoder, and a value that is not the size's.
    option = ("width", 32)
    # Another encoder, by the name that the segmenter gives it.
    encoder = "resnet18"

    def build(self, **options):
        torch.manual_seed(0)
        return build_segmenter({"name": self.name, "size": self.size, "pretrained": False, **options})

    @pytest.fixture(scope="class")
    def segmenter(self):
        """Shared by the tests that leave weights and statistics as they are."""
        return self.build().eval()

    @pytest.mark.parametrize("size", [(65, 97), (33, 40), (64, 64), (1, 1), (7, 130)])
    def test_logits_have_the_size_of_the_image(self, segmenter, size):
        with torch.no_grad():
            output = segmenter(images(2, *size))
        assert output.logits.shape == (2, 1, *size) and output.logits.dtype == torch.float32
        assert output.logits.isfinite().all() and output.auxiliary == ()

    def test_the_last_row_and_column_see_the_image(self, segmenter):
        # Padding that were cut off at the wrong side would let the corner depend on pixels that are not there.
        image = images(1, 45, 51).requires_grad_()
        segmenter(image).logits[0, 0, -1, -1].backward()
        assert image.grad[0, :, -1, -1].abs().sum() > 0

    def test_evaluation_is_deterministic_and_does_not_mix_images(self, segmenter):
        image = images(2, 64, 80)
        with torch.no_grad():
            both = segmenter(image).logits
            torch.testing.assert_close(segmenter(image).logits, both, rtol=0, atol=0)
            torch.testing.assert_close(segmenter(image[1:]).logits, both[1:], rtol=1e-3, atol=1e-4)

    def test_probability_is_the_sigmoid_without_gradients(self, segmenter):
        image = images(1, 40, 33)
        probability = segmenter.probability(image)
        assert not probability.requires_grad and probability.shape == (1, 1, 40, 33)
        torch.testing.assert_close(probability, segmenter(image).logits.sigmoid().detach())

    def test_images_are_scaled_as_the_encoder_expects(self, segmenter):
        seen = []
        original, segmenter._segment = segmenter._segment, lambda image: seen.append(image) or original(image)
        try:
            image = images(1, 64, 64)
            segmenter(image)
        finally:
            del segmenter._segment
        expected = (image - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(3, 1, 1)
        torch.testing.assert_close(seen[0], expected)

    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 4, 32, 32)])
    def test_another_shape_is_refused(self, segmenter, shape):
        with pytest.raises(InputError, match=r"^An image batch must have the shape \(B, 3, H, W\), not .*\.$"):
            segmenter(torch.zeros(shape))

    def test_one_image_trains_every_parameter(self):
        segmenter = self.build()
        output = segmenter(images(1, 65, 97))
        assert len(output.auxiliary) == self.auxiliaries
        assert all(logits.shape == (1, 1, 65, 97) for logits in output.auxiliary)
        (output.logits.square().mean() + sum(logits.square().mean() for logits in output.auxiliary)).backward()
        untrained = [key for key, value in segmenter.named_parameters() if value.grad is None or not value.grad.any()]
        assert untrained == []
        assert (segmenter.auxiliary_weight > 0) == (self.auxiliaries > 0)

    def test_learns_a_scene(self):
        segmenter = self.build().train()
        scene = make_scene(3, 64)
        image = torch.from_numpy(scene.image).permute(2, 0, 1)[None] / 255
        truth = torch.from_numpy(scene.truth["building"])[None, None].float()
        image, truth = torch.cat([image, image.flip(-1)]), torch.cat([truth, truth.flip(-1)])
        optimizer = torch.optim.AdamW(segmenter.parameters(), lr=2e-3)
        losses = []
        for _ in range(12):
            optimizer.zero_grad()
            losses.append(loss_of(segmenter, image, truth))
            losses[-1].backward()
            optimizer.step()
        assert losses[-1] < 0.6 * losses[0]

    def test_weights_return_through_the_resolved_specification(self, segmenter):
        spec = resolved_spec({"name": self.name, "size": self.size, "pretrained": False})
        assert None not in spec.values() and all(type(value) in (str, int, bool) for value in spec.values())
        assert resolved_spec(spec) == spec
        torch.manual_seed(1)
        restored = build_segmenter(spec).eval()
        restored.load_state_dict(segmenter.state_dict())
        with torch.no_grad():
            image = images(1, 40, 64)
            torch.testing.assert_close(restored(image).logits, segmenter(image).logits, rtol=0, atol=0)

    def test_an_option_overrides_the_size_s(self, segmenter):
        option, value = self.option
        assert resolved_spec({"name": self.name, "size": self.size})[option] != value
        other = self.build(**{option: value})
        shapes = {key: tensor.shape for key, tensor in other.state_dict().items()}
        assert shapes != {key: tensor.shape for key, tensor in segmenter.state_dict().items()}

    def test_another_encoder_and_its_scaling(self):
        other = self.build(encoder=self.encoder).eval()
        torch.testing.assert_close(other.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
        torch.testing.assert_close(other.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))
        with torch.no_grad():
            assert other(images(1, 33, 40)).logits.shape == (1, 1, 33, 40)

    def test_installed_weights_are_used(self, segmenter):
        trained, random = self.build(pretrained=True).state_dict(), segmenter.state_dict()
        stem = next(key for key in random if key.endswith("conv_stem.weight"))
        assert random.keys() == trained.keys() and not torch.equal(trained[stem], random[stem])
        # The statistics of batch normalisation are 0 and 1 wherever nothing was loaded.
        backbone = stem.removesuffix("conv_stem.weight")
        means = [value for key, value in trained.items() if key.startswith(backbone) and key.endswith("running_mean")]
        assert means and all(mean.any() for mean in means)

    def test_an_encoder_that_does_not_exist(self):
        with pytest.raises(ConfigError, match=r"^segmenter\.encoder must be .* such as [^.]*, not 'resnte18'\.$"):
            self.build(encoder="resnte18")

    def test_sizes_name_exactly_the_options_of_the_constructor(self):
        cls = SEGMENTERS[self.name]
        parameters = inspect.signature(cls).parameters.values()
        assert all(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters)
        for options in cls.SIZES.values():
            assert set(options) == {each.name for each in parameters} and {"encoder", "pretrained"} <= set(options)
