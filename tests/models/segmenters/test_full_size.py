"""The five at the size of their papers: one training step on the tiles of the paper's data sets."""

import gc

import pytest
import torch
from torch import nn

from segassess.models.segmenters.architectures import build_segmenter
from segassess.models.segmenters.size_tables import REFERENCE, parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCE)
def test_full_size_forward_and_backward(name):
    segmenter = build_segmenter({"name": name, "pretrained": False}).train()
    assert sum(parameter.numel() for parameter in segmenter.parameters()) == parameters(name, "full")
    for module in segmenter.modules():
        # timm starts the last norm of each residual branch of a ResNet at 0, which lets no gradient through in the first step.
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and not module.weight.any():
            nn.init.ones_(module.weight)
    for side in (320, 512):
        output = segmenter(torch.rand(1, 3, side, side))
        assert output.logits.shape == (1, 1, side, side)
        sum(logits.square().mean() for logits in (output.logits, *output.auxiliary)).backward()
        untrained = [key for key, value in segmenter.named_parameters() if value.grad is None or not value.grad.any()]
        assert untrained == []
        segmenter.zero_grad(set_to_none=True)
        del output
        gc.collect()


@pytest.mark.parametrize("name", ["deeplabv3plus", "hrnet", "ocrnet", "unetformer"])
def test_numbers_of_parameters_are_near_the_reference_s(name):
    # Where the reference's head is heavier (docs/segmenters.md), the difference is that head.
    allowed = {"deeplabv3plus": 0.25, "hrnet": 0.17}.get(name, 1e-3)
    assert abs(parameters(name, "full") / REFERENCE[name] - 1) < allowed
