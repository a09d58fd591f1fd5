"""From log-odds to quality logits, for baselines with one opinion per pixel."""

import math

import torch
from torch import Tensor

from segassess.models.assessor.base import AssessorOutput
from segassess.quality import FN, FP, TN, TP

# Least distance of log-odds from 0, so that rounding never turns a decision.
MARGIN = 1e-3
# Probabilities are kept this far from 0 and 1.
EPSILON = 1e-6
IMPOSSIBLE = -20.0


def decide(odds: Tensor, positive: Tensor) -> Tensor:
    """Log-odds with the sign that a decision wants: at least MARGIN where `positive` (bool), at most -MARGIN elsewhere."""
    return torch.where(positive, odds.clamp(min=MARGIN), odds.clamp(max=-MARGIN))


def shifted_log_odds(probability: Tensor, threshold: float) -> Tensor:
    """Log-odds of probabilities in [0, 1], 0 at `threshold` in (0, 1) and positive exactly where above it."""
    odds = probability.clamp(EPSILON, 1 - EPSILON).logit() - math.log(threshold / (1 - threshold))
    return decide(odds, probability > threshold)


def from_error_odds(odds: Tensor, mask: Tensor) -> AssessorOutput:
    """Quality logits whose P(FP) inside and P(FN) outside the mask (B, 1, H, W) is sigmoid(odds), float (B, H, W)."""
    inside, zero = mask[:, 0] > 0, torch.zeros_like(odds)
    logits = torch.full((mask.shape[0], 4, *mask.shape[-2:]), IMPOSSIBLE, dtype=odds.dtype, device=odds.device)
    for code, where, value in ((TP, inside, zero), (FP, inside, odds), (TN, ~inside, zero), (FN, ~inside, odds)):
        logits[:, code] = torch.where(where, value, logits[:, code])
    return AssessorOutput(logits)


def from_truth_odds(odds: Tensor, mask: Tensor) -> AssessorOutput:
    """Quality logits of an estimated truth: with p = sigmoid(odds), TP : FP = p : 1 - p inside and FN : TN = p : 1 - p outside.

    `odds`, float (B, H, W), are the object's log-odds, never 0; the mask (B, 1, H, W) is foreground where > 0.
    """
    return from_error_odds(torch.where(mask[:, 0] > 0, -odds, odds), mask)
