import subprocess
import sys

import pytest
import torch

from segassess import quality
from segassess.models.baselines.aqsnet import AqsNet
from segassess.quality import FN, FP, TN, TP
from segassess.training.losses import AssessorLoss, LossWeights
from tests.models.baselines.four_channel import TrainedBaseline, batch


class TestAqsNet(TrainedBaseline):
    spec = {"name": "aqsnet", "width": 16}
    network = AqsNet

    def test_consistent_probabilities_are_the_sigmoids_of_the_heads(self, model):
        image, mask, _ = batch()
        with torch.no_grad():
            logits = model(image, mask).quality_logits
        assert not logits[:, [TP, TN]].any()
        inside = mask[:, 0] > 0
        expected = torch.where(inside, logits[:, FP].sigmoid(), logits[:, FN].sigmoid())
        errors = quality.error_map(quality.probabilities(logits, mask, "consistent"))
        torch.testing.assert_close(errors, expected)
        assert expected.std() > 0

    def test_free_decoding_cannot_tell_what_is_right_apart(self, model):
        image, mask, _ = batch()
        with torch.no_grad():
            free = quality.probabilities(model(image, mask).quality_logits, mask, "free")
        assert torch.equal(free[:, TP], free[:, TN]) and free[:, TP].max() < 0.5

    @pytest.mark.parametrize("covered", [0.0, 1.0], ids=["outside", "inside"])
    def test_each_head_learns_on_its_side_of_the_mask_only(self, model, covered):
        image, mask, truth = batch()
        mask = torch.full_like(mask, covered)
        loss = AssessorLoss(LossWeights(1.0, 0.0, 0.0, 1.0), (1.0, 2.0, 0.5, 2.0))
        loss(model(image, mask), mask, truth, torch.ones_like(mask, dtype=torch.bool))["loss"].backward()
        learned = {
            name: any(parameter.grad.any().item() for parameter in getattr(model, name).parameters())
            for name in ("false_positive", "false_negative")
        }
        assert learned == {"false_positive": covered == 1, "false_negative": covered == 0}


def test_assessors_do_not_import_the_baselines_above_them():
    """The registry names them by strings, so either package can be imported first."""
    code = (
        "import sys, segassess.models.assessor.compositions as registry\n"
        "assert not any(name.startswith('segassess.models.baselines') for name in sys.modules)\n"
        "import segassess.models.baselines\n"
        "encoder = {'name': 'sam_vit_tiny'}\n"
        "print(*(type(registry.build_assessor({'name': name}, encoder)).__name__ for name in ('concat_unet', 'aqsnet')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["ConcatUnet", "AqsNet"], done.stderr
