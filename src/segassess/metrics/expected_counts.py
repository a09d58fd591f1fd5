"""Expected numbers of right and wrong pixels and the scores estimated from them; imports no torch."""

import math
from dataclasses import dataclass
from typing import Any

from segassess.quality import FN, FP, NUM_CLASSES, TP


@dataclass(frozen=True)
class ExpectedCounts:
    """Sums of P(TP), P(FP) and P(FN) over valid pixels; the counts of an image's parts add up to those of the image.

    The one definition of estimated scores: each is the score of the expected counts, NaN where there is nothing to count.
    """

    true_positive: float = 0.0
    false_positive: float = 0.0
    false_negative: float = 0.0
    valid: int = 0

    @classmethod
    def of(cls, probabilities: Any, valid: Any) -> "ExpectedCounts":
        """Count one image or a part: probabilities (4, H, W) in [0, 1], valid bool (H, W), tensors or arrays; NaN does not count.

        Raises ValueError if the shapes do not fit.
        """
        import torch

        classes, counted = torch.as_tensor(probabilities).detach(), torch.as_tensor(valid).bool()
        if classes.ndim != 3 or classes.shape != (NUM_CLASSES, *counted.shape):
            shapes = f"{tuple(classes.shape)} and {tuple(counted.shape)}"
            raise ValueError(f"probabilities must be ({NUM_CLASSES}, H, W) and valid (H, W), not {shapes}.")
        counted = counted & ~classes.isnan().any(dim=0)
        hits, false_alarms, misses = (float(classes[code][counted].sum(dtype=torch.float64)) for code in (TP, FP, FN))
        return cls(hits, false_alarms, misses, int(counted.sum()))

    def __add__(self, other: "ExpectedCounts") -> "ExpectedCounts":
        return ExpectedCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.valid + other.valid,
        )

    @property
    def errors(self) -> float:
        """Expected number of wrong pixels."""
        return self.false_positive + self.false_negative

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]."""
        return _ratio(self.true_positive, self.true_positive + self.errors)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), in [0, 1]."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.errors)

    @property
    def precision(self) -> float:
        """TP / (TP + FP), in [0, 1]."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), in [0, 1]."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def error_share(self) -> float:
        """Errors per valid pixel, in [0, 1]."""
        return _ratio(self.errors, self.valid)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
