"""DeepLabV3+ on both output strides."""

import pytest
import torch
from torch import nn

from segassess.errors import ConfigError
from tests.models.segmenters.base import SegmenterContract, images


class TestDeepLabV3Plus(SegmenterContract):
    name = "deeplabv3plus"

    def test_output_stride_8_has_doubled_rates_and_finer_features(self):
        coarse, fine = self.build().eval(), self.build(output_stride=8).eval()

        def rates(segmenter):
            found = {module.dilation[0] for module in segmenter.network.decoder.aspp.modules() if isinstance(module, nn.Conv2d)}
            return sorted(found - {1})

        assert rates(coarse) == [6, 12, 18] and rates(fine) == [12, 24, 36]
        with torch.no_grad():
            assert fine.network.encoder(images(1, 64, 64))[-1].shape[-1] == 8
            assert coarse.network.encoder(images(1, 64, 64))[-1].shape[-1] == 4

    def test_no_batch_statistic_of_a_pooled_value(self):
        segmenter = self.build()
        with torch.no_grad():
            segmenter(images(1, 64, 64))
        assert not any(isinstance(module, nn.BatchNorm2d) for module in segmenter.network.decoder.aspp[0].convs[-1])

    def test_another_output_stride_is_refused(self):
        with pytest.raises(ConfigError, match=r"^segmenter\.output_stride .*8 or 16, not 4\.$"):
            self.build(output_stride=4)
