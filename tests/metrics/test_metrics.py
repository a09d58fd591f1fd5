import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from segassess import quality
from segassess.metrics.confusion import QualityConfusion, confusion_matrix, quality_metrics
from segassess.metrics.evaluation import ALL, EvaluationMetrics
from segassess.metrics.reference import ReferenceProtocol
from segassess.metrics.scores import ScoreAgreement, expected_iou, true_iou
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
    metric = QualityConfusion()
    metric.update(predicted, target, all_valid(target))
    result = metric.compute()
    assert result["fp_iou"] == pytest.approx(1 / 2)
    assert result["fn_iou"] == pytest.approx(1 / 2)
    assert result["tp_iou"] == pytest.approx(1 / 2)
    assert result["fp_fn_miou"] == pytest.approx(1 / 2)
    assert result["error_f1"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert result["tn_precision"] == pytest.approx(1 / 2)
    assert result["fp_accuracy"] == pytest.approx(5 / 6)


def test_pooling_is_not_averaging_over_batches():
    target, wrong = torch.zeros(1, 4, 4, dtype=torch.long), torch.ones(1, 1, 1, dtype=torch.long)
    pooled = QualityConfusion()
    pooled.update(target, target, all_valid(target))
    pooled.update(wrong, wrong - 1, all_valid(wrong))
    assert pooled.compute()["tp_iou"] == pytest.approx(16 / 17)


def test_invalid_pixels_do_not_count():
    predicted, target = batch3()
    valid = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    scrambled = torch.where(valid, predicted, (predicted + 1) % 4)
    assert torch.equal(confusion_matrix(predicted, target, valid), confusion_matrix(scrambled, target, valid))


def test_estimated_iou_of_certain_probabilities_is_the_true_one():
    truth, mask = (rules.mask(40, 3, seed=seed) for seed in (13, 14))
    valid = torch.ones_like(mask, dtype=torch.bool)
    certain = torch.nn.functional.one_hot(quality.encode(mask, truth)[:, 0], 4).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(expected_iou(certain, valid), true_iou(mask, truth, valid))


def test_true_iou_of_two_empty_masks_is_unknown():
    empty = torch.zeros(1, 1, 4, 4)
    assert true_iou(empty, empty, empty == 0).isnan().all()


def test_score_agreement():
    agreement = ScoreAgreement()
    agreement.update(torch.tensor([0.1, 0.5, 0.9, 0.3]), torch.tensor([0.2, 0.4, 1.0, float("nan")]))
    result = agreement.compute()
    assert result["iou_mae"] == pytest.approx(0.1)
    assert result["iou_spearman"] == pytest.approx(1.0, abs=1e-5)
    assert result["iou_images"] == 3
    assert math.isnan(ScoreAgreement().compute()["iou_mae"])


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
