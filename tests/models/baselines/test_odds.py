import torch

from segassess import quality
from segassess.models.baselines.odds import from_truth_odds, shifted_log_odds
from segassess.quality import FN, FP, TN, TP


def test_a_shift_turns_no_decision():
    probability = torch.linspace(0, 1, 1001)
    for threshold in (0.1, 0.5, 0.503, 0.9):
        odds = shifted_log_odds(probability, threshold)
        assert torch.equal(odds > 0, probability > threshold) and (odds != 0).all()
        assert torch.isfinite(odds).all() and (odds.diff() >= 0).all()
    assert torch.allclose(shifted_log_odds(probability, 0.5).sigmoid(), probability, atol=1e-3)


def test_probabilities_are_those_of_the_truth():
    mask = torch.tensor([1.0, 1, 0, 0]).reshape(1, 1, 1, 4)
    odds = torch.tensor([0.9, 0.2, 0.9, 0.2]).logit().reshape(1, 1, 4)
    found = quality.probabilities(from_truth_odds(odds, mask).quality_logits, mask, "free")[0, :, 0]
    expected = torch.zeros(4, 4)
    expected[TP], expected[FP] = torch.tensor([0.9, 0.2, 0, 0]), torch.tensor([0.1, 0.8, 0, 0])
    expected[FN], expected[TN] = torch.tensor([0, 0, 0.9, 0.2]), torch.tensor([0, 0, 0.1, 0.8])
    assert torch.allclose(found, expected, atol=1e-4)
