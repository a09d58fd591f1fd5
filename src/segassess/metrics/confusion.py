"""Pooled metrics of quality maps: one 4x4 confusion matrix over all masks of a group."""

import torch
from torch import Tensor

from segassess.quality import CLASS_NAMES, FN, FP, NUM_CLASSES, TN, TP


def confusion_matrix(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """int64 (4, 4) counts of valid pixels; rows are the true classes, columns the predicted ones."""
    index = target[valid] * NUM_CLASSES + predicted[valid]
    return torch.bincount(index, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)


def binary_scores(true_positive: Tensor, false_positive: Tensor, false_negative: Tensor, total: Tensor) -> dict[str, Tensor]:
    """IoU, F1, precision, recall and accuracy of pixel counts; a score with nothing to count is NaN, never a constant."""
    errors = false_positive + false_negative
    return {
        "iou": true_positive / (true_positive + errors),
        "f1": 2 * true_positive / (2 * true_positive + errors),
        "precision": true_positive / (true_positive + false_positive),
        "recall": true_positive / (true_positive + false_negative),
        "accuracy": (total - errors) / total,
    }


def quality_metrics(confusion: Tensor) -> dict[str, float]:
    """All metrics of a confusion matrix (4, 4) whose rows are the true classes, in [0, 1].

    `<class>_<score>` and `mean_<score>` over the classes for iou, f1, precision, recall and accuracy; `fp_fn_miou`, the mean of
    FP and FN IoU; `error_<score>` of the binary error map (FP or FN); `mask_iou` of mask and ground truth; and `pixels`. A class
    that occurs neither in the truth nor in the prediction has NaN and is left out of the means.
    """
    counts = confusion.double()
    total = counts.sum()
    result: dict[str, float] = {}
    per_class: dict[str, list[Tensor]] = {}
    for code, name in enumerate(CLASS_NAMES):
        hit = counts[code, code]
        scores = binary_scores(hit, counts[:, code].sum() - hit, counts[code].sum() - hit, total)
        for score, value in scores.items():
            result[f"{name.lower()}_{score}"] = float(value)
            per_class.setdefault(score, []).append(value)
    for score, values in per_class.items():
        result[f"mean_{score}"] = float(torch.stack(values).nanmean())
    result["fp_fn_miou"] = float(torch.stack([per_class["iou"][FP], per_class["iou"][FN]]).nanmean())
    wrong, right = [FP, FN], [TP, TN]
    hit = counts[wrong][:, wrong].sum()
    error = binary_scores(hit, counts[right][:, wrong].sum(), counts[wrong][:, right].sum(), total)
    result |= {f"error_{score}": float(value) for score, value in error.items()}
    occurs = counts.sum(dim=1)
    result["mask_iou"] = float(occurs[TP] / (occurs[TP] + occurs[FP] + occurs[FN]))
    result["pixels"] = float(total)
    return result
