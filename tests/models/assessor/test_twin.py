from dataclasses import replace

import numpy as np
import pytest
import torch

from segassess.errors import ConfigError
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.outline_means import OutlineMeans
from segassess.models.assessor.trained_assessor import Description, load_assessor, save_assessor
from segassess.models.assessor.twin import RADII, outline_distance
from segassess.quality import FN, FP, TN, TP

LITE0 = {"name": "efficientnet_lite0", "pretrained": False}


def test_the_distance_to_the_outline_is_that_of_a_chessboard():
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((5, 6)) > 0.5, np.ones((7, 9))).astype(np.float32)  # blocks: outlines of many kinds
    here = np.argwhere(np.ones_like(mask))
    expected = np.zeros(mask.size)
    for index, place in enumerate(here):
        others = np.argwhere(mask != mask[tuple(place)])
        nearest = np.abs(others - place).max(axis=1).min()
        expected[index] = sum(radius < nearest for radius in RADII) / len(RADII)
    signed = np.where(mask > 0, 1, -1) * expected.reshape(mask.shape)
    np.testing.assert_allclose(outline_distance(torch.from_numpy(mask)[None, None])[0, 0].numpy(), signed, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_without_an_outline_is_far_from_it_everywhere(value):
    assert (outline_distance(torch.full((1, 1, 5, 40), value)) == (1 if value else -1)).all()


@torch.no_grad()
def test_objects_are_seen_in_the_image_alone():
    model = build_assessor({"name": "twin"}, LITE0).eval()
    image, mask = torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float()
    assert torch.equal(model(image, mask).object_logits, model(image, 1 - mask).object_logits)


def test_frozen_stages_keep_weights_and_statistics():
    model = build_assessor({"name": "twin"}, {**LITE0, "frozen_stages": 2}).eval().train()
    state = {name: tensor.clone() for name, tensor in model.image_encoder.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    model(torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)).quality_logits.square().mean().backward()
    optimizer.step()
    now = model.image_encoder.backbone.state_dict()
    changed = {
        name.split(".")[1] if name.startswith("blocks") else name for name in state if not torch.equal(state[name], now[name])
    }
    assert changed >= {"2", "3", "4", "5", "6"} and not changed & {"0", "1"} and not any("stem" in name for name in changed)


def test_more_stages_than_there_are_cannot_be_frozen():
    with pytest.raises(ConfigError):
        build_assessor({"name": "twin"}, {**LITE0, "frozen_stages": 8})


@torch.no_grad()
def test_a_pixel_of_the_mask_hears_its_neighbours_there():
    mask = torch.zeros(1, 1, 96, 128)
    mask[:, :, 20:60, 16:56] = mask[:, :, 20:60, 80:120] = 1
    logits = torch.zeros(1, 4, 96, 128)
    logits[:, FP, :, :64], logits[:, FP, :, 64:], logits[:, FN] = -2.0, 2.0, torch.randn(96, 128)
    logits[:, FP, 20:60:4, 80:120] = -2.0  # rows of the second object that look right
    means = OutlineMeans()
    means.weights[:] = torch.tensor([0.0, 1.0, 0.0])
    heard = means(logits, mask)
    odds = heard[:, FP] - heard[:, TP]
    assert ((odds[:, 20:60, 80:120] - 1).abs() < 0.5).all()
    torch.testing.assert_close(odds[:, 20:60, 16:56], torch.full((1, 40, 40), -2.0), atol=0.05, rtol=0)
    assert torch.equal(heard[:, [TN, FN]], logits[:, [TN, FN]])
    assert torch.equal(heard[mask.expand_as(heard) == 0], logits[mask.expand_as(heard) == 0])
    means.weights[:] = torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(means(logits, mask), logits)


def test_weights_of_what_is_heard_are_learned():
    model = build_assessor({"name": "twin", "outline_means": True}, LITE0).train()
    mask = (torch.rand(2, 1, 40, 72) > 0.5).float()
    output = model(torch.rand(2, 3, 40, 72), mask)
    assert output.quality_logits.shape == (2, 4, 40, 72)
    output.quality_logits[:, FP].square().mean().backward()
    assert (model.outline_means.weights.grad != 0).all()


def test_a_checkpoint_without_outline_means_speaks_as_before_with_them(tmp_path):
    torch.manual_seed(0)
    without = build_assessor({"name": "twin"}, LITE0).eval()
    save_assessor(tmp_path / "twin.safetensors", without, Description({"name": "twin"}, LITE0, "consistent"))
    spec = {"name": "twin", "outline_means": True}
    loaded = load_assessor(tmp_path / "twin.safetensors", assessor=spec)
    assert loaded.description.assessor == spec and loaded.report.missing == ()
    image, mask = torch.rand(1, 3, 40, 72), (torch.rand(1, 1, 40, 72) > 0.5).float()
    torch.testing.assert_close(loaded.assessor(image, mask).quality_logits, without(image, mask).quality_logits)
    # Who asks for an assessor without them is told what was left out.
    save_assessor(tmp_path / "means.safetensors", loaded.assessor, loaded.description)
    assert load_assessor(tmp_path / "means.safetensors", assessor={"name": "twin"}).report.unexpected == (
        "outline_means.weights",
    )


@torch.no_grad()
@pytest.mark.parametrize("colours", [True, False])
def test_the_second_encoder_reads_colours_only_if_told(colours):
    model = build_assessor({"name": "twin", "colours": colours}, LITE0).eval()
    assert model.enter2[0].in_channels == (20 if colours else 8)
    features, mask = model.encode_image(torch.rand(1, 3, 64, 64)), torch.ones(1, 1, 64, 64)
    assert (features.image is not None) == colours
    if colours:
        other = replace(features, image=torch.zeros_like(features.image))
        assert not torch.equal(model.assess(features, mask).quality_logits, model.assess(other, mask).quality_logits)


@torch.no_grad()
def test_one_without_colours_starts_from_one_that_reads_them(tmp_path):
    torch.manual_seed(0)
    reading = build_assessor({"name": "twin"}, LITE0).eval()
    reading.enter2[0].weight[:, : 4 * 3] = 0
    save_assessor(tmp_path / "twin.safetensors", reading, Description({"name": "twin"}, LITE0, "consistent"))
    blind = load_assessor(tmp_path / "twin.safetensors", assessor={"name": "twin", "colours": False}).assessor
    image, mask = torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float()
    torch.testing.assert_close(blind(image, mask).quality_logits, reading(image, mask).quality_logits)


def test_outline_means_of_a_training_s_checkpoint_are_read(tmp_path):
    """There, the names of all tensors begin with `assessor.`."""
    spec = {"name": "twin", "outline_means": True}
    model = build_assessor(spec, LITE0)
    torch.nn.init.constant_(model.outline_means.weights, 0.5)
    torch.save({"state_dict": {f"assessor.{name}": tensor for name, tensor in model.state_dict().items()}}, tmp_path / "a.ckpt")
    loaded = load_assessor(tmp_path / "a.ckpt", assessor=spec, encoder=LITE0)
    assert torch.equal(loaded.assessor.outline_means.weights, model.outline_means.weights)
