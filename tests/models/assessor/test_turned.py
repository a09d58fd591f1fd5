"""Judgements averaged over turned and mirrored views."""

from dataclasses import replace

import pytest
import torch

from segassess.cli.build import in_views
from segassess.errors import ConfigError, InputError
from segassess.models.assessor.checkpoint import LoadReport
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import Description, LoadedAssessor
from segassess.models.assessor.turned import VIEWS, TurnedAssessor

LITE0 = {"name": "efficientnet_lite0", "pretrained": False}


@pytest.fixture(scope="module")
def inner():
    torch.manual_seed(0)
    return build_assessor({"name": "twin"}, LITE0).eval()


def inputs(height: int = 64, width: int = 96):
    generator = torch.Generator().manual_seed(1)
    image, mask = torch.rand(1, 3, height, width, generator=generator), torch.rand(2, 1, height, width, generator=generator)
    return image, (mask > 0.5).float()


@torch.inference_mode()
def test_one_view_is_the_assessor_itself(inner):
    image, mask = inputs(70, 50)
    expected, found = inner(image, mask), TurnedAssessor(inner, 1)(image, mask)
    assert torch.equal(found.quality_logits, expected.quality_logits) and torch.equal(found.object_logits, expected.object_logits)


@torch.inference_mode()
def test_eight_views_judge_a_turned_image_like_the_image(inner):
    averaged = TurnedAssessor(inner, 8)
    assert len(set(averaged.views)) == 8 == len(VIEWS)
    image, mask = inputs()
    found = averaged(image, mask).quality_logits
    assert found.shape == (2, 4, 64, 96) and not torch.allclose(found, inner(image, mask).quality_logits, atol=1e-3)
    for turns in (1, 2):
        turned = averaged(*(torch.rot90(each, turns, dims=(-2, -1)).flip(-1) for each in (image, mask))).quality_logits
        back = torch.rot90(turned.flip(-1), -turns, dims=(-2, -1))
        torch.testing.assert_close(back, found, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_it_is_the_mean_over_its_views(inner):
    image, mask = inputs()
    found = TurnedAssessor(inner, 2)(image, mask).quality_logits
    first = inner(image, mask).quality_logits
    second = inner(*(torch.rot90(each, 1, dims=(-2, -1)).flip(-1) for each in (image, mask))).quality_logits
    torch.testing.assert_close(found, (first + torch.rot90(second.flip(-1), -1, dims=(-2, -1))) / 2)


@torch.inference_mode()
def test_odd_sizes_and_wrong_shapes_are_treated_as_by_any_assessor(inner):
    averaged = TurnedAssessor(inner, 4)
    image, mask = inputs(70, 50)
    assert averaged(image, mask).quality_logits.shape == (2, 4, 70, 50)
    with pytest.raises(InputError, match="mask batch"):
        averaged.assess(averaged.encode_image(image), mask[..., :40])


def test_a_graph_has_one_view(inner):
    graph = LoadedAssessor(torch.nn.Identity(), Description({}, {}, "consistent"), "abc", LoadReport("own", ()))
    assert in_views(graph, 1) is graph
    with pytest.raises(ConfigError, match="views must be 1"):
        in_views(graph, 4)
    whole = replace(graph, assessor=inner)
    assert in_views(whole, 4).digest != whole.digest
