"""What an evaluation takes from an assessor: decisions by their cuts, scores after calibration."""

import pytest
import torch

from segassess import quality
from segassess.data.batch import Batch
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.calibration import Calibration
from segassess.training.module import EvaluationModule


class Fixed:
    """Answers the same logits whatever it is shown."""

    def __init__(self, logits):
        self.logits = logits

    def encode_image(self, image):
        return ImageFeatures(image, (), tuple(image.shape[-2:]), tuple(image.shape[-2:]))

    def assess(self, features, mask):
        return AssessorOutput(self.logits)


def test_scores_are_calibrated_and_decisions_are_not():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 4, 32, 32, generator=generator)
    mask, truth = ((torch.rand(1, 1, 32, 32, generator=generator) > 0.5).float() for _ in range(2))
    batch = Batch(torch.zeros(1, 3, 32, 32), mask, truth, torch.ones(1, 1, 32, 32).bool(), ["a"], ["s"])
    calibration = Calibration(fp=(0.5, -2.0), fn=(1.0, -2.0))
    rows = []
    for given in (None, calibration):
        module = EvaluationModule(Fixed(logits), ["s"], "consistent", calibration=given)
        module.test_step(batch, 0)
        module.on_test_epoch_end()
        assert list(module.results) == ["s", "all"]
        rows += module.rows
    plain, calibrated = rows
    probabilities = quality.probabilities(logits, mask, "consistent")
    assert plain.expected_errors == pytest.approx(float(quality.error_map(probabilities).sum()), rel=1e-5)
    assert calibrated.expected_errors == pytest.approx(float(quality.error_map(calibration(probabilities)).sum()), rel=1e-5)
    assert calibrated.expected_errors < 0.7 * plain.expected_errors
    assert calibrated.confusion == plain.confusion and calibrated.refined_iou == plain.refined_iou
