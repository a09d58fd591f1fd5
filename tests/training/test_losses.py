"""The losses against the published implementation's numbers, and what ours adds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segassess import quality
from segassess.errors import ConfigError
from segassess.metrics.expected_counts import ExpectedCounts
from segassess.models.assessor.base import AssessorOutput
from segassess.training.losses import AssessorLoss, LossWeights, balanced_edge_cross_entropy, dice_loss, edge_target
from tests.parity import rules

PARITY = Path(__file__).parents[1] / "parity"
GOLDEN = json.loads((PARITY / "loss.json").read_text())
SIZE, BATCH = 40, 3


def normal(seed: int, channels: int) -> torch.Tensor:
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal((BATCH, channels, SIZE, SIZE))
    return torch.from_numpy(values)


@pytest.fixture
def batch():
    logits, edge = (normal(11, 4).float() * 2), normal(12, 1).float()
    truth = rules.mask(SIZE, BATCH, seed=13)
    mask = rules.mask(SIZE, BATCH, seed=14)
    return logits.requires_grad_(), edge.requires_grad_(), mask, truth, torch.ones_like(mask, dtype=torch.bool)


@pytest.mark.parametrize("case", ["batch3", "batch3_empty_gt", "batch3_prompt_equals_gt"])
def test_terms_and_gradients_are_the_reference_s(batch, case):
    logits, edge, mask, truth, valid = batch
    if case == "batch3_empty_gt":
        truth = torch.zeros_like(truth)
    if case == "batch3_prompt_equals_gt":
        mask = truth
    golden = GOLDEN[case]
    terms = AssessorLoss(LossWeights(), "reference", "free")(AssessorOutput(logits, edge), mask, truth, valid)
    for ours, theirs in {"cross_entropy": "ce", "edge": "edge", "refinement": "refine", "loss": "total"}.items():
        assert terms[ours].item() == pytest.approx(golden[theirs], abs=2e-6)
    grad_logits, grad_edge = torch.autograd.grad(terms["loss"], [logits, edge])
    assert grad_logits.norm().item() == pytest.approx(golden["grad_logits_norm"], rel=1e-5)
    assert grad_edge.norm().item() == pytest.approx(golden["grad_edge_norm"], rel=1e-5)
    np.testing.assert_allclose(grad_logits.flatten()[:8], golden["grad_logits_first8"], atol=1e-9, rtol=1e-4)
    target = edge_target(truth)
    parts = balanced_edge_cross_entropy(edge, target, valid.float()), dice_loss(edge.sigmoid(), target, valid.float())
    assert [part.item() for part in parts] == pytest.approx([golden["edge_bce"], golden["edge_dice"]], abs=1e-6)


def test_one_sample_has_one_dice_and_not_one_per_row(batch):
    logits, edge, mask, truth, valid = (tensor[:1] for tensor in batch)
    terms = AssessorLoss(LossWeights(), "reference", "free")(AssessorOutput(logits, edge), mask, truth, valid)
    golden = GOLDEN["batch1_sample0"]
    assert terms["cross_entropy"].item() == pytest.approx(golden["ce"], abs=1e-6)
    assert terms["refinement"].item() == pytest.approx(golden["refine"], abs=1e-6)
    # The reference's dice is per image row when there is one sample; ours never is.
    assert abs(terms["edge"].item() - golden["edge"]) > 0.01


def test_edge_targets_are_the_reference_s():
    with np.load(PARITY / "edge_targets.npz") as stored:
        cases = [key.removesuffix("__mask") for key in stored.files if key.endswith("__mask")]
        assert len(cases) == 8
        for case in cases:
            mask = torch.from_numpy(stored[f"{case}__mask"] > 0).float()[None, None]
            assert np.array_equal(edge_target(mask)[0, 0].numpy() > 0, stored[f"{case}__edge"] > 0), case


def test_pixels_that_are_not_valid_change_nothing(batch):
    logits, edge, mask, truth, valid = (tensor.detach() for tensor in batch)
    valid = valid.clone()
    valid[..., 20:] = False
    loss = AssessorLoss(LossWeights(edge=0.0, dice=1.0, error_dice=1.0, object=1.0), [1, 2, 0.5, 2], "consistent")
    before = loss(AssessorOutput(logits, edge, object_logits=edge), mask, truth, valid)
    noisy, noisy_object = (torch.where(valid, plane, plane + 5) for plane in (logits, edge))
    flipped = torch.where(valid, truth, 1 - truth)
    after = loss(AssessorOutput(noisy, edge, object_logits=noisy_object), mask, flipped, valid)
    assert before.keys() == {"loss", "cross_entropy", "refinement", "dice", "error_dice", "object"}
    for name, value in before.items():
        assert after[name].item() == pytest.approx(value.item(), abs=1e-6), name


def test_consistent_loss_ignores_impossible_classes(batch):
    logits, _, mask, truth, valid = (tensor.detach() for tensor in batch)
    impossible = quality.constrain(torch.zeros_like(logits), mask) < 0
    loss = AssessorLoss(LossWeights(edge=0.0), "reference", "consistent")
    first = loss(AssessorOutput(logits), mask, truth, valid)["loss"]
    second = loss(AssessorOutput(torch.where(impossible, logits + 9, logits)), mask, truth, valid)["loss"]
    assert first.item() == pytest.approx(second.item(), abs=1e-6)


def test_targets_are_not_overwritten(batch):
    logits, edge, mask, truth, valid = batch
    copies = mask.clone(), truth.clone()
    AssessorLoss(LossWeights())(AssessorOutput(logits, edge), mask, truth, valid)
    assert torch.equal(mask, copies[0]) and torch.equal(truth, copies[1])


def test_a_term_of_weight_zero_is_not_computed(batch):
    logits, edge, mask, truth, valid = batch
    terms = AssessorLoss(LossWeights(edge=0.0, refinement=0.0))(AssessorOutput(logits, edge), mask, truth, valid)
    assert set(terms) == {"loss", "cross_entropy"}


def test_dice_of_errors_is_that_of_the_whole_batch(batch):
    logits, _, mask, truth, valid = (tensor.detach() for tensor in batch)
    probabilities, codes = quality.probabilities(logits, mask, "consistent"), quality.encode(mask, truth)[:, 0]
    dice = []
    for code in (quality.FP, quality.FN):
        wrong, said = (codes == code).float(), probabilities[:, code]
        dice.append((2 * (wrong * said).sum() + 1) / (wrong.sum() + said.sum() + 1))
    terms = AssessorLoss(LossWeights(0, 0, 0, error_dice=1.0))(AssessorOutput(logits), mask, truth, valid)
    assert terms.keys() == {"loss", "error_dice"}
    assert terms["error_dice"].item() == pytest.approx(1 - float(sum(dice)) / 2, abs=1e-5)


def test_dice_over_the_batch_takes_its_samples_as_one(batch):
    logits, edge, mask, truth, valid = (tensor.detach() for tensor in batch)
    truth[1:] = 0
    weights = LossWeights(0, 1.0, 0, dice=1.0, object=1.0)
    output = AssessorOutput(logits, edge, object_logits=edge)
    over_batch, per_sample = (AssessorLoss(weights, dice_over=over)(output, mask, truth, valid) for over in ("batch", "sample"))
    whole = [plane.transpose(0, 1).reshape(1, 1, -1, plane.shape[3]) for plane in (truth, valid.float())]
    said = quality.truth_probability(quality.probabilities(logits, mask, "consistent")).unsqueeze(1)
    expected = dice_loss(said.transpose(0, 1).reshape(whole[0].shape), *whole)
    assert over_batch["dice"].item() == pytest.approx(expected.item(), abs=1e-6)
    assert all(over_batch[name] < per_sample[name] for name in ("dice", "edge", "object")), "empty samples weigh on each"
    with pytest.raises(ConfigError, match="dice_over must be sample or batch, not 'tile'"):
        AssessorLoss(weights, dice_over="tile")


def test_the_object_branch_learns_the_truth_whatever_the_mask(batch):
    logits, edge, mask, truth, valid = (tensor.detach() for tensor in batch)
    loss = AssessorLoss(LossWeights(0, 0, 0, object=1.0))
    terms = [loss(AssessorOutput(logits, object_logits=edge), other, truth, valid)["object"] for other in (mask, 1 - mask)]
    assert terms[0] == terms[1] > 0.1
    right = loss(AssessorOutput(logits, object_logits=20 * (2 * truth - 1)), mask, truth, valid)["object"]
    assert right.item() == pytest.approx(0, abs=1e-4)
    with pytest.raises(ConfigError, match="branches that this assessor does not have"):
        loss(AssessorOutput(logits), mask, truth, valid)


def test_inverse_frequency_weighs_classes_alike(batch):
    _, _, mask, truth, valid = batch
    codes = quality.encode(mask, truth).squeeze(1)
    logits = torch.zeros(BATCH, 4, SIZE, SIZE)
    logits[:, quality.TN] = 3.0
    loss = AssessorLoss(LossWeights(edge=0, refinement=0), "inverse_frequency", "free")
    value = loss(AssessorOutput(logits), mask, truth, valid)["cross_entropy"]
    per_class = [torch.nn.functional.cross_entropy(logits, codes, reduction="none")[codes == code].mean() for code in range(4)]
    assert value.item() == pytest.approx(torch.stack(per_class).mean().item(), rel=1e-5)


@pytest.mark.parametrize("weights", ["heavy", [1.0, 2.0], [-1.0, 1, 1, 1]])
def test_wrong_class_weights_are_refused(weights):
    with pytest.raises(ConfigError, match=r"loss\.class_weights"):
        AssessorLoss(LossWeights(), weights)


def test_a_loss_without_terms_is_refused():
    with pytest.raises(ConfigError, match=r"loss\.weights"):
        LossWeights(0, 0, 0, 0)


def test_iou_term_is_the_error_of_the_estimated_iou(batch):
    logits, _, mask, truth, valid = batch
    valid = valid.clone()
    valid[..., 20:] = False
    mask[2], truth[2] = 0, 0
    probabilities = quality.probabilities(logits, mask, "consistent")
    wanted = []
    for each in range(2):
        estimated = ExpectedCounts.of(probabilities[each], valid[each, 0]).iou
        shown = [(plane[each] > 0) & valid[each] for plane in (mask, truth)]
        wanted.append(abs(estimated - ((shown[0] & shown[1]).sum() / (shown[0] | shown[1]).sum()).item()))
    terms = AssessorLoss(LossWeights(0, 0, 0, iou=1.0))(AssessorOutput(logits), mask, truth, valid)
    # The third mask has nothing to count.
    assert terms["iou"].item() == pytest.approx(sum(wanted) / 3, abs=1e-5)
    terms["loss"].backward()
    assert logits.grad[:2].abs().max() > 0 and not logits.grad[2].any()
