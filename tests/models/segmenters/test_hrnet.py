"""HRNet and its fusion of resolutions."""

import torch
from torch.nn import functional as F

from segassess.models.segmenters.encoders import FeaturePyramid
from segassess.models.segmenters.hrnet import MultiScaleFusion
from tests.models.segmenters.base import SegmenterContract, images


class TestHRNet(SegmenterContract):
    name = "hrnet"
    encoder = "hrnet_w18_small"

    def test_the_branches_themselves_are_taken(self):
        pyramid = FeaturePyramid("hrnet_w18_small", pretrained=False).eval()
        assert pyramid.channels == (16, 32, 64, 128) and pyramid.strides == (4, 8, 16, 32)
        with torch.no_grad():
            assert [tuple(each.shape[1:]) for each in pyramid(images(1, 64, 32))] == [
                (16, 16, 8), (32, 8, 4), (64, 4, 2), (128, 2, 1),
            ]  # fmt: skip


def test_fusion_equals_one_convolution_of_the_concatenation():
    torch.manual_seed(0)
    fusion = MultiScaleFusion((3, 5), 7).eval()
    fine, coarse = torch.randn(2, 3, 8, 12), torch.randn(2, 5, 4, 6)
    weight = torch.cat([projection.weight for projection in fusion.projections], dim=1)
    joined = torch.cat([fine, F.interpolate(coarse, size=(8, 12), mode="bilinear")], dim=1)
    torch.testing.assert_close(fusion([fine, coarse]), fusion.activate(F.conv2d(joined, weight)), rtol=1e-4, atol=1e-5)
