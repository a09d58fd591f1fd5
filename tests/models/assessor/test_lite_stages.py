"""EfficientNet-Lite without timm is timm's network."""

from copy import deepcopy

import pytest
import timm
import torch

from segassess.models.assessor.encoders.lite_stages import LITE0, LITE1, LITE2, LiteStages


@pytest.fixture(scope="module", params=[("lite0", LITE0), ("lite1", LITE1), ("lite2", LITE2)], ids=lambda param: param[0])
def both(request):
    name, size = request.param
    torch.manual_seed(3)
    theirs = timm.create_model(f"tf_efficientnet_{name}", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
    expected = torch.rand(1)
    torch.manual_seed(3)
    ours = LiteStages(size)
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
    assert all(torch.equal(mine, its) for mine, its in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("size", "dims"), [(LITE0, (24, 40, 112, 320)), (LITE2, (24, 48, 120, 352))])
def test_channels_of_the_levels(size, dims):
    assert size.level_dims == dims
    assert tuple(level.shape[1] for level in LiteStages(size).eval()(torch.zeros(1, 3, 32, 32))) == dims


def test_folded_norms_give_the_same_levels_up_to_rounding(both):
    ours = deepcopy(both[0]).eval()
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for module in ours.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # as after a training
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2)
        expected = ours(image)
        ours.fold_norms()
        ours.fold_norms()
        found = ours(image)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in ours.modules()) == 1
    for mine, its in zip(found, expected, strict=True):
        assert its.std() > 0 and torch.allclose(mine, its, rtol=1e-4, atol=1e-5 * float(its.abs().max()))
