"""OCRNet and what object-contextual representations compute."""

import torch

from segassess.models.segmenters.ocrnet import ObjectContext
from tests.models.segmenters.base import SegmenterContract, images


class TestOCRNet(SegmenterContract):
    name = "ocrnet"
    auxiliaries = 1

    def test_the_final_loss_alone_trains_the_attention_and_the_coarse_mask(self):
        segmenter = self.build()
        segmenter(images(1, 64, 96)).logits.square().mean().backward()
        for part in (segmenter.object_context.query, segmenter.object_context.key, segmenter.coarse):
            assert all(parameter.grad.abs().sum() > 0 for parameter in part.parameters())


def test_pixels_attend_to_the_two_regions():
    torch.manual_seed(0)
    context = ObjectContext(8).eval()
    pixels = torch.randn(1, 8, 4, 6)
    coarse = torch.full((1, 1, 4, 6), -20.0)
    coarse[..., :2] = 20.0
    with torch.no_grad():
        regions = torch.stack([pixels[..., :2].flatten(2).mean(2), pixels[..., 2:].flatten(2).mean(2)], dim=2)[..., None]
        query, key, value = context.query(pixels), context.key(regions)[..., 0], context.value(regions)[..., 0]
        expected = torch.zeros(1, 4, 4, 6)
        for row in range(4):
            for column in range(6):
                share = ((query[0, :, row, column] @ key[0]) / 4**0.5).softmax(0)
                expected[0, :, row, column] = value[0] @ share
        expected = context.augment(torch.cat([context.context(expected), pixels], dim=1))
        torch.testing.assert_close(context(pixels, coarse), expected, rtol=1e-4, atol=1e-5)
