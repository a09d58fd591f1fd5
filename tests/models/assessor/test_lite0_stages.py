"""EfficientNet-Lite0 without timm is timm's network."""

import pytest
import timm
import torch

from segassess.models.assessor.encoders.lite0_stages import Lite0Stages


@pytest.fixture(scope="module")
def both():
    torch.manual_seed(3)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
    expected = torch.rand(1)
    torch.manual_seed(3)
    ours = Lite0Stages()
    assert torch.equal(torch.rand(1), expected), "what is drawn next does not change either"
    return ours, theirs


def test_one_seed_gives_the_same_weights_of_the_same_names(both):
    ours, theirs = (network.state_dict() for network in both)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("size", [(64, 96), (65, 47)])
@pytest.mark.parametrize("training", [False, True])
def test_the_same_levels(both, size, training):
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    ours, theirs = (network.train(training)(image) for network in both)
    assert [level.shape[1] for level in ours] == [24, 40, 112, 320]
    assert all(torch.equal(mine, its) for mine, its in zip(ours, theirs, strict=True))
