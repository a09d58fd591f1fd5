import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from segassess import quality
from segassess.metrics.confusion import confusion_matrix, quality_metrics
from segassess.metrics.evaluation_metrics import ALL, EvaluationMetrics, metrics_by_region, pooled_metrics
from segassess.metrics.expected_counts import ExpectedCounts
from segassess.metrics.reference import ReferenceProtocol
from segassess.metrics.score_agreement import average_precision, score_agreement
from tests.parity import rules

GOLDEN = json.loads((Path(__file__).parents[1] / "parity" / "loss.json").read_text())
NAMES = {"True Postive": "tp", "False Postive": "fp", "True Negtive": "tn", "False Negtive": "fn", "Mean": "mean"}
SCORES = {"Pixel Accuracy": "accuracy", "Precision": "precision", "Recall": "recall", "F1-score": "f1", "IoU": "iou"}


def all_valid(codes: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(codes, dtype=torch.bool)


def compare(result: dict[str, float], table: dict[str, dict[str, float]]) -> None:
    for row, scores in table.items():
        for score, value in scores.items():
            assert result[f"{NAMES[row]}_{SCORES[score]}"] == pytest.approx(value, abs=1e-6), (row, score)


def batch3() -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.from_numpy(np.random.Generator(np.random.PCG64(11)).standard_normal((3, 4, 40, 40)) * 2)
    truth, mask = (rules.mask(40, 3, seed=seed) for seed in (13, 14))
    return logits.argmax(dim=1), quality.encode(mask, truth)[:, 0]


def test_reference_protocol_of_one_batch():
    predicted, target = batch3()
    protocol = ReferenceProtocol()
    protocol.update(predicted, target, all_valid(target))
    result = protocol.compute()
    compare(result, GOLDEN["metrics_multiclass_batch3"])
    for score, value in GOLDEN["metrics_binary_wrong_batch3"].items():
        assert result[f"error_{SCORES[score]}"] == pytest.approx(value, abs=1e-6)


def test_reference_protocol_scores_absent_classes_as_the_reference_does():
    _, target = batch3()
    target = torch.where(target % 2 == 1, target - 1, target)
    protocol = ReferenceProtocol()
    protocol.update(target, target, all_valid(target))
    result = protocol.compute()
    assert result["fp_iou"] == pytest.approx(33.3333, abs=1e-3)
    assert result["fn_f1"] == pytest.approx(50.0)
    # Ours says that there is nothing to score.
    assert math.isnan(quality_metrics(confusion_matrix(target, target, all_valid(target)))["fp_iou"])


def test_reference_protocol_of_three_batches_and_its_selection_score():
    protocol = ReferenceProtocol()
    for index in range(3):
        truth = rules.mask(40, 4, seed=300 + index)
        mask = truth if index == 1 else rules.mask(40, 4, seed=400 + index)
        noise = np.random.Generator(np.random.PCG64(100 + index)).standard_normal((4, 4, 40, 40))
        logits = torch.from_numpy((2 * noise).astype("f4")) + 3 * torch.cat([mask, mask, 1 - mask, 1 - mask], dim=1)
        logits[:, [quality.TP, quality.TN]] += 2
        target = quality.encode(mask, truth)[:, 0]
        protocol.update(logits.argmax(dim=1), target, all_valid(target))
    result, golden = protocol.compute(), GOLDEN["run_val_3_batches"]
    compare(result, golden["table"])
    assert result["selection"] == pytest.approx(
        golden["selection_IoU (mean over batches of the RUNNING mean of (FP+FN)/2)"], abs=1e-6
    )


def test_pooled_metrics_by_hand():
    target = torch.tensor([[[0, 1, 2, 3, 3, 1]]])
    predicted = torch.tensor([[[0, 1, 2, 3, 2, 0]]])
    result = quality_metrics(confusion_matrix(predicted, target, all_valid(target)))
    assert result["fp_iou"] == pytest.approx(1 / 2)
    assert result["fn_iou"] == pytest.approx(1 / 2)
    assert result["tp_iou"] == pytest.approx(1 / 2)
    assert result["fp_fn_miou"] == pytest.approx(1 / 2)
    assert result["error_f1"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert result["tn_precision"] == pytest.approx(1 / 2)
    assert result["fp_accuracy"] == pytest.approx(5 / 6)


def test_pooling_is_not_averaging_over_batches():
    target, wrong = torch.zeros(1, 4, 4, dtype=torch.long), torch.ones(1, 1, 1, dtype=torch.long)
    pairs = (target, target), (wrong, wrong - 1)
    pooled = sum(confusion_matrix(predicted, true, all_valid(true)) for predicted, true in pairs)
    assert quality_metrics(pooled)["tp_iou"] == pytest.approx(16 / 17)


def test_invalid_pixels_do_not_count():
    predicted, target = batch3()
    valid = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    scrambled = torch.where(valid, predicted, (predicted + 1) % 4)
    assert torch.equal(confusion_matrix(predicted, target, valid), confusion_matrix(scrambled, target, valid))


def one_hot(codes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(codes, 4).permute(0, 3, 1, 2).float()


def evaluated(probabilities, mask, truth, valid=None, **options) -> EvaluationMetrics:
    """Of masks of one source "s", tiles numbered."""
    metrics = EvaluationMetrics(["s"])
    count = len(mask)
    valid = torch.ones_like(mask, dtype=torch.bool) if valid is None else valid
    metrics.update(probabilities, mask, truth, valid, [str(index) for index in range(count)], ["s"] * count, **options)
    return metrics


def random_masks(count: int, size: int = 24) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities, mask and truth."""
    generator = torch.Generator().manual_seed(5)
    mask, truth = ((torch.rand(count, 1, size, size, generator=generator) > 0.6).float() for _ in range(2))
    return torch.rand(count, 4, size, size, generator=generator).mul(4).softmax(dim=1), mask, truth


def test_estimates_of_certain_probabilities_are_the_true_scores():
    truth, mask = (rules.mask(40, 3, seed=seed) for seed in (13, 14))
    for row in evaluated(one_hot(quality.encode(mask, truth)[:, 0]), mask, truth).rows:
        assert row.true_errors == row.expected_errors > 0
        for score in ("iou", "f1", "precision", "recall"):
            assert vars(row)[f"estimated_{score}"] == vars(row)[f"true_{score}"]


def test_scores_of_masks_by_their_formulas():
    probabilities, mask, truth = random_masks(3)
    valid = torch.rand(3, 1, 24, 24, generator=torch.Generator().manual_seed(1)) > 0.1
    rows = evaluated(probabilities, mask, truth, valid).rows
    sums = (probabilities.double() * valid).sum(dim=(2, 3))
    hit, union = ((mask * truth * valid).sum(dim=(1, 2, 3)), (((mask + truth) > 0) & valid).sum(dim=(1, 2, 3)))
    refined = quality.refine(mask[:, 0], quality.decode(probabilities)).unsqueeze(1).float()
    refined_hit, refined_union = (refined * truth * valid).sum((1, 2, 3)), (((refined + truth) > 0) & valid).sum((1, 2, 3))
    for index, row in enumerate(rows):
        tp, fp, _, fn = sums[index].tolist()
        assert row.estimated_iou == pytest.approx(tp / (tp + fp + fn), rel=1e-6)
        assert row.true_iou == pytest.approx(float(hit[index] / union[index]))
        assert row.refined_iou == pytest.approx(float(refined_hit[index] / refined_union[index]))
        assert row.error_share == pytest.approx(row.true_errors / int(valid[index].sum()))
    pooled = pooled_metrics(rows)
    assert pooled["refined_iou"] == pytest.approx(float(refined_hit.sum() / refined_union.sum()))
    assert pooled["refined_iou_gain"] == pytest.approx(pooled["refined_iou"] - float(hit.sum() / union.sum()))


def test_nothing_to_score():
    empty = torch.zeros(1, 1, 4, 4)
    (row,) = evaluated(one_hot(torch.full((1, 4, 4), quality.TN)), empty, empty).rows
    assert row.estimated_iou == 1 and math.isnan(row.true_iou) and row.true_errors == 0
    result = pooled_metrics([row])
    assert result["iou_images"] == 0 and math.isnan(result["iou_mae"]) and math.isnan(result["review_area"])
    assert result["ece"] == 0 and pooled_metrics([])["pixels"] == 0 and math.isnan(pooled_metrics([])["ece"])


def test_score_agreement():
    result = score_agreement([0.1, 0.5, 0.9, 0.3], [0.2, 0.4, 1.0, float("nan")])
    assert result["mae"] == pytest.approx(0.1)
    assert result["spearman"] == pytest.approx(1.0, abs=1e-5)
    assert result["number"] == 3
    assert math.isnan(score_agreement([], [])["mae"]) and math.isnan(score_agreement([0.5], [0.5])["pearson"])


def test_scores_come_from_calibrated_probabilities_and_decisions_do_not():
    probabilities, mask, truth = random_masks(4)
    calibrated = probabilities.flip(1)
    plain = evaluated(probabilities, mask, truth)
    both = evaluated(probabilities, mask, truth, calibrated=calibrated)
    for row, other in zip(both.rows, plain.rows, strict=True):
        assert (row.confusion, row.refined_iou) == (other.confusion, other.refined_iou)
        index, counts = int(row.name), ExpectedCounts.of(calibrated[int(row.name)], torch.ones(24, 24))
        assert row.expected_errors == pytest.approx(counts.errors) != other.expected_errors
        assert row.estimated_iou == pytest.approx(counts.iou)
        assert row.reliability_bins()[1].sum() == pytest.approx(float(quality.error_map(calibrated)[index].sum()))


def test_review_sorts_masks_by_expected_errors():
    truth, mask = torch.zeros(5, 1, 10, 10), torch.ones(5, 1, 10, 10)
    for index, wrong in enumerate((40, 5, 10, 0, 45)):
        truth[index, 0].view(-1)[wrong:] = 1
    oracle = evaluated(one_hot(quality.encode(mask, truth)[:, 0]), mask, truth).compute()["s"]
    assert oracle["review_found_20"] == pytest.approx(0.45) and oracle["review_area"] == oracle["review_area_oracle"]
    blind = evaluated(one_hot(torch.zeros(5, 10, 10).long()), mask, truth).compute()["s"]
    assert blind["review_found_20"] == pytest.approx(0.2) and blind["review_area"] == pytest.approx(0.5)


def test_evaluation_separates_sources_and_skips_fillers():
    truth, mask = (rules.mask(40, 3, seed=seed) for seed in (13, 14))
    valid = torch.ones_like(mask, dtype=torch.bool)
    valid[2] = False
    probabilities = torch.nn.functional.one_hot(quality.encode(mask, truth)[:, 0], 4).permute(0, 3, 1, 2).float()
    probabilities[1] = probabilities[1].flip(0)
    metrics = EvaluationMetrics(["a", "b"], reference_protocol=True)
    metrics.update(probabilities, mask, truth, valid, ["x", "x", "y"], ["a", "b", "a"])
    result = metrics.compute()
    assert result["a"]["fp_fn_miou"] == pytest.approx(1.0)
    assert result["b"]["fp_fn_miou"] < 0.5
    assert result["b"]["fp_fn_miou"] < result[ALL]["fp_fn_miou"] < 1
    assert [(row.name, row.source) for row in metrics.rows] == [("x", "a"), ("x", "b")]
    assert metrics.rows[0].refined_iou == pytest.approx(1.0)
    assert "reference_selection" in result["a"]
    metrics.reset()
    assert metrics.rows == [] and metrics.compute()[ALL]["pixels"] == 0


def test_rows_pool_to_the_same_metrics_as_pixels():
    """By region from the rows of all masks, against metrics that only ever saw the masks of that region."""
    generator = torch.Generator().manual_seed(5)
    truth, mask = ((torch.rand(8, 1, 24, 24, generator=generator) > 0.6).float() for _ in range(2))
    probabilities = torch.rand(8, 4, 24, 24, generator=generator).softmax(dim=1)
    valid = torch.rand(8, 1, 24, 24, generator=generator) > 0.1
    truth[7] = mask[7] = 0  # nothing there: its IoU is unknown
    names, sources = list("aabbccdd"), ["s", "t"] * 4
    regions = {"a": "north", "b": "south", "c": "north", "d": "south"}
    everywhere = EvaluationMetrics(["s", "t"])
    everywhere.update(probabilities, mask, truth, valid, names, sources)
    found = metrics_by_region(everywhere.rows, regions)
    assert list(found) == ["north", "south"]
    for region, by_source in found.items():
        chosen = [index for index, name in enumerate(names) if regions[name] == region]
        alone = EvaluationMetrics(["s", "t"])
        planes = (plane[chosen] for plane in (probabilities, mask, truth, valid))
        alone.update(*planes, [names[index] for index in chosen], [sources[index] for index in chosen])
        assert list(by_source) == ["s", "t", ALL]
        for source, metrics in alone.compute().items():
            assert by_source[source] == pytest.approx(metrics, nan_ok=True, abs=1e-7), (region, source)
    assert all(isinstance(value, str | float) for value in everywhere.rows[0].as_dict().values())


def test_objects_are_compared_on_request():
    truth, mask = torch.zeros(1, 1, 60, 60), torch.zeros(1, 1, 60, 60)
    mask[0, 0, 5:15, 5:15] = truth[0, 0, 5:15, 5:10] = 1
    mask[0, 0, 40:50, 40:50] = truth[0, 0, 40:50, 40:50] = 1
    mask[0, 0, 55:57, 5:7] = 1  # too small to count
    valid = torch.ones_like(mask, dtype=torch.bool)
    certain = one_hot(quality.encode(mask, truth)[:, 0])
    metrics = EvaluationMetrics(["s"], objects=True)
    metrics.update(certain, mask, truth, valid, ["a"], ["s"], calibrated=0.9 * certain + 0.025)
    assert [true for _, true in metrics.rows[0].objects] == [0.5, 1.0]
    result = metrics.compute()["s"]
    assert result["object_iou_objects"] == 2 and result["object_iou_spearman"] == pytest.approx(1.0, abs=1e-4)
    assert 0.05 < result["object_iou_mae"] < 0.2
    # A true IoU of one half is a match.
    assert np.isnan(result["object_ap"]) and result["object_wrong"] == 0
    assert evaluated(certain, mask, truth).rows[0].objects == ()


def test_average_precision_of_finding_what_is_wrong():
    # From the lowest estimate on: wrong, right, wrong, right.
    found = average_precision([0.1, 0.6, 0.3, 0.9], [0.2, 0.4, 0.8, 1.0], 0.5)
    assert found == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert np.isnan(average_precision([0.1, 0.6], [0.2, 0.3], 0.5)) and np.isnan(average_precision([], [], 0.5))
