import pytest
import torch

from segassess.errors import ConfigError
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.encoders.sam_vit import SamVitEncoder
from segassess.models.baselines.concat_unet import ConcatUnet
from tests.models.baselines.four_channel import TrainedBaseline


class TestConcatUnet(TrainedBaseline):
    spec = {"name": "concat_unet", "width": 16}
    network = ConcatUnet

    def test_the_finest_skip_sees_single_pixels_of_the_mask(self, encoder):
        """Before training opens the encoder to the mask, it is the only way in; the decoder spreads it by less than 12 px."""
        torch.manual_seed(0)
        model = build_assessor({"name": "concat_unet"}, encoder).eval()
        image, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
        changes = []
        with torch.no_grad():
            empty = model(image, mask).quality_logits
            for row in (20, 21):
                dot = mask.clone()
                dot[..., row, 30] = 1
                changes.append((model(image, dot).quality_logits - empty).abs().sum(dim=(0, 1)))
        assert not torch.allclose(*changes, rtol=0.1)
        for change in changes:
            changed = (change > 0).nonzero()
            assert len(changed) > 0
            assert (changed - torch.tensor([20, 30])).abs().max() < 12

    def test_an_encoder_with_one_level_is_refused(self):
        with pytest.raises(ConfigError, match="1 levels, concat_unet needs 2"):
            ConcatUnet(SamVitEncoder(192, 2, 4, (1,)))
