import pytest
import torch

from segassess import quality
from segassess.quality import FN, FP, TN, TP


@pytest.fixture
def masks():
    return torch.tensor([[[[1.0, 1, 0, 0]]]]), torch.tensor([[[[1.0, 0, 0, 1]]]])


def test_encode_names_every_case(masks):
    assert quality.encode(*masks).flatten().tolist() == [TP, FP, TN, FN]


def test_truth_and_refined_mask_follow_from_mask_and_quality(masks):
    mask, truth = masks
    codes = quality.encode(mask, truth)
    assert torch.equal((codes == TP) | (codes == FN), truth > 0)
    assert torch.equal(quality.refine(mask, codes), truth > 0)


def test_refine_keeps_the_mask_where_nothing_was_assessed(masks):
    mask, _ = masks
    assert torch.equal(quality.refine(mask, torch.full_like(mask, quality.NOT_ASSESSED)), mask > 0)


def test_consistent_decoding_gives_impossible_classes_probability_zero(masks):
    mask, _ = masks
    logits = torch.randn(1, 4, 1, 4)
    free = quality.probabilities(logits, mask, "free")
    consistent = quality.probabilities(logits, mask, "consistent")
    inside, outside = mask[0, 0, 0] > 0, mask[0, 0, 0] == 0
    assert consistent[0, [TN, FN]][..., inside].abs().max() == 0
    assert consistent[0, [TP, FP]][..., outside].abs().max() == 0
    assert (free > 0).all()
    torch.testing.assert_close(consistent.sum(dim=1), torch.ones(1, 1, 4))
    # Among the possible classes the odds stay what they were.
    torch.testing.assert_close(consistent[0, FP, 0, 0] / consistent[0, TP, 0, 0], free[0, FP, 0, 0] / free[0, TP, 0, 0])


def test_consistent_decoding_survives_half_precision(masks):
    logits = torch.randn(1, 4, 1, 4).half()
    assert quality.probabilities(logits, masks[0], "consistent").isfinite().all()


def test_error_and_truth_probability_partition_the_classes():
    probabilities = torch.rand(2, 4, 3, 3).softmax(dim=1)
    error, truth = quality.error_map(probabilities), quality.truth_probability(probabilities)
    torch.testing.assert_close(error, probabilities[:, FP] + probabilities[:, FN])
    torch.testing.assert_close(truth, probabilities[:, TP] + probabilities[:, FN])
