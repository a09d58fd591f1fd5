"""The metric protocol of the published implementation, only for comparison with its numbers.

It averages per-batch scores with 1e-9 added to every cell, so an absent class has IoU 33.3 and F1 50. Our own numbers are pooled.
"""

import torch
from torch import Tensor

from segassess.metrics.confusion import confusion_matrix
from segassess.quality import CLASS_NAMES, FN, FP

EPSILON = 1e-9
SCORES = ("accuracy", "precision", "recall", "f1", "iou")


def _scores(cells: Tensor) -> Tensor:
    """Percent scores, in the order of SCORES, of a 2x2 matrix [[tn, fp], [fn, tp]]."""
    tn, fp, fn, tp = (cells.double() + EPSILON).flatten()
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    accuracy = (tp + tn) / (tn + fp + fn + tp)
    return 100 * torch.stack([accuracy, precision, recall, 2 * precision * recall / (precision + recall), tp / (tp + fp + fn)])


def _one_against_rest(confusion: Tensor, codes: list[int]) -> Tensor:
    rest = [code for code in range(confusion.shape[0]) if code not in codes]
    return torch.stack(
        [
            torch.stack([confusion[rest][:, rest].sum(), confusion[rest][:, codes].sum()]),
            torch.stack([confusion[codes][:, rest].sum(), confusion[codes][:, codes].sum()]),
        ]
    )


class ReferenceProtocol:
    """Accumulates batches as the published evaluation does; scores are in percent."""

    def __init__(self) -> None:
        self._classes: list[Tensor] = []
        self._binary: list[Tensor] = []

    def update(self, predicted: Tensor, target: Tensor, valid: Tensor) -> None:
        """Score a batch: quality codes int64 (B, H, W), predicted and true, and valid bool (B, H, W)."""
        confusion = confusion_matrix(predicted, target, valid).cpu()
        self._classes.append(torch.stack([_scores(_one_against_rest(confusion, [code])) for code in range(len(CLASS_NAMES))]))
        wrong = _one_against_rest(confusion, [FP, FN])
        self._binary.append((_scores(wrong) + _scores(wrong.flip(0, 1))) / 2)

    def compute(self) -> dict[str, float]:
        """Means over batches of `<class>_<score>`, `mean_<score>` and `error_<score>`, and `selection`; {} without batches.

        `selection` is the mean over batches of the running mean of FP IoU plus that of FN IoU, halved.
        """
        if not self._classes:
            return {}
        classes = torch.stack(self._classes)  # (batches, 4, scores)
        table = classes.mean(dim=0)
        result = {
            f"{name.lower()}_{score}": float(table[row, column])
            for row, name in enumerate(CLASS_NAMES)
            for column, score in enumerate(SCORES)
        }
        result |= {f"mean_{score}": float(table[:, column].mean()) for column, score in enumerate(SCORES)}
        result |= {
            f"error_{score}": float(value) for score, value in zip(SCORES, torch.stack(self._binary).mean(dim=0), strict=True)
        }
        iou = classes[:, [FP, FN], SCORES.index("iou")]
        running = iou.cumsum(dim=0) / torch.arange(1, len(iou) + 1).unsqueeze(1)
        result["selection"] = float(running.mean(dim=1).mean())
        return result
