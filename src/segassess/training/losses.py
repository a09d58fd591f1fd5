"""The training loss of SegAssess with switchable, weighted terms.

The formulas follow `Yangbn97/SegAssess` at 4ccb024; `tests/training/test_losses.py` checks them number by number. The edge term
is RCF's class-balanced cross-entropy (arXiv 1612.02103) plus a Dice term (arXiv 1606.04797).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess import quality
from segassess.errors import ConfigError
from segassess.models.assessor.base import AssessorOutput
from segassess.quality import FN, FP, NUM_CLASSES, TP, Decoding

REFERENCE_CLASS_WEIGHTS = (0.5, 5.0, 0.1, 5.0)
DICE_SMOOTH = 1.0

# "reference", "inverse_frequency", or four numbers.
ClassWeights: TypeAlias = str | Sequence[float]
DiceOver: TypeAlias = Literal["sample", "batch"]


def edge_target(truth: Tensor) -> Tensor:
    """Inner boundary of a truth, both float (B, 1, H, W) in {0, 1}: foreground pixels with a 4-neighbour in the background.

    Everything outside the image is background, so objects that touch the border have an edge there.
    """
    padded = F.pad(truth, (1, 1, 1, 1))
    neighbours = torch.stack([padded[..., :-2, 1:-1], padded[..., 2:, 1:-1], padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]])
    return truth * (1 - neighbours.amin(dim=0))


def dice_loss(probability: Tensor, target: Tensor, valid: Tensor, over: DiceOver = "sample") -> Tensor:
    """1 - Dice, smoothed by 1, of a probability in [0, 1] against a target in {0, 1}; all float (B, 1, H, W).

    Per "sample", an empty target pushes predictions down, because its Dice is nearly 0 unless hardly anything is predicted; over
    the "batch", it does not.
    """
    groups = 1 if over == "batch" else len(target)
    probability, target = (probability * valid).reshape(groups, -1), (target * valid).reshape(groups, -1)
    intersection = (probability * target).sum(dim=1)
    total = probability.sum(dim=1) + target.sum(dim=1)
    return (1 - (2 * intersection + DICE_SMOOTH) / (total + DICE_SMOOTH)).mean()


def error_dice_loss(probabilities: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """1 - Dice over the batch, mean of FP and FN; it follows the FP/FN mIoU, however rare errors are.

    Takes probabilities (B, 4, H, W), quality codes (B, H, W) and a float mask of pixels that count (B, 1, H, W). It pools the
    batch because many masks have no error of a class.
    """
    losses = []
    for code in (FP, FN):
        wrong = (target == code).float().unsqueeze(1)
        losses.append(dice_loss(probabilities[:, code : code + 1], wrong, valid, "batch"))
    return torch.stack(losses).mean()


def balanced_edge_cross_entropy(edge_logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """RCF's cross-entropy: edge pixels weigh N0/N, others 1.1 * N1/N, counted over the batch; mean over all valid pixels.

    A batch without edge pixels has a loss of 0.
    """
    positive, negative = (target * valid).sum(), ((1 - target) * valid).sum()
    total = (positive + negative).clamp(min=1)
    weight = torch.where(target > 0, negative / total, 1.1 * positive / total) * valid
    return F.binary_cross_entropy_with_logits(edge_logits, target, weight=weight, reduction="sum") / total


def refinement_loss(probabilities: Tensor, mask: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """MSE(P_TP + P_FN, truth) + MSE(P_FP + P_TN, 1 - truth) + MSE(mask + P_FN - P_FP, truth), each over valid pixels."""
    object_probability = quality.truth_probability(probabilities).unsqueeze(1)
    refined = mask + probabilities[:, FN : FN + 1] - probabilities[:, FP : FP + 1]
    count = valid.sum().clamp(min=1)
    truth_error = ((object_probability - truth).square() * valid).sum() / count
    refined_error = ((refined - truth).square() * valid).sum() / count
    # Probabilities sum to 1, so the first two errors are equal.
    return 2 * truth_error + refined_error


def iou_loss(probabilities: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean over the masks of |estimated - true IoU|, the first from expected counts as `ExpectedCounts.iou` estimates it.

    Takes probabilities (B, 4, H, W), quality codes (B, H, W) and a float mask of pixels that count (B, 1, H, W). A mask that has
    no object, where none is missing either, has no IoU and counts 0.
    """
    known = F.one_hot(target, NUM_CLASSES).permute(0, 3, 1, 2)
    right, *wrong = (
        torch.stack([(planes[:, code] * valid[:, 0]).sum(dim=(1, 2)) for planes in (probabilities, known)])
        for code in (TP, FP, FN)
    )
    union = right + wrong[0] + wrong[1]  # estimated and true, (2, B)
    estimated, true = right / union.clamp(min=1)
    error = torch.where(union[1] > 0, (estimated - true).abs(), 0.0)
    return error.mean()


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term of `AssessorLoss`; terms of weight 0 are not computed."""

    cross_entropy: float = 1.0  # class-weighted, of the four classes
    edge: float = 1.0  # see `balanced_edge_cross_entropy`; plus Dice
    refinement: float = 1.0  # see `refinement_loss`
    dice: float = 0.0  # of P(TP) + P(FN) against the truth (not in the reference)
    error_dice: float = 0.0  # see `error_dice_loss` (not in the reference)
    object: float = 0.0  # cross-entropy and Dice of the object branch against the truth (not in the reference)
    iou: float = 0.0  # see `iou_loss` (not in the reference)

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0 or max(vars(self).values()) == 0:
            raise ConfigError(f"loss.weights must be >= 0 with at least one > 0, not {vars(self)}.")


class AssessorLoss(nn.Module):
    """Sum of the weighted terms.

    `class_weights` of the cross-entropy are "reference" = (0.5, 5, 0.1, 5), "inverse_frequency" (per batch, mean 1 over the
    classes that occur), or four numbers for TP, FP, TN, FN. "consistent" decoding rules out impossible classes before softmax
    and cross-entropy. `dice_over` applies to truth, objects and edges; see `dice_loss`.
    """

    def __init__(
        self,
        weights: LossWeights,
        class_weights: ClassWeights = "reference",
        decoding: Decoding = "consistent",
        dice_over: DiceOver = "sample",
    ) -> None:
        super().__init__()
        if dice_over not in ("sample", "batch"):
            raise ConfigError(f"loss.dice_over must be sample or batch, not {dice_over!r}.")
        self.dice_over: DiceOver = dice_over
        if decoding not in quality.DECODINGS:
            raise ConfigError(f"decoding must be one of {', '.join(quality.DECODINGS)}, not {decoding!r}.")
        self.weights = weights
        self.decoding = decoding
        fixed = REFERENCE_CLASS_WEIGHTS if class_weights == "reference" else class_weights
        tensor: Tensor | None = None
        if fixed != "inverse_frequency":
            if isinstance(fixed, str) or len(fixed) != NUM_CLASSES or min(fixed) < 0:
                raise ConfigError(
                    "loss.class_weights must be 'reference', 'inverse_frequency' or four numbers >= 0 "
                    f"(TP, FP, TN, FN), not {class_weights!r}."
                )
            tensor = torch.tensor([float(weight) for weight in fixed])
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", tensor, persistent=False)

    def forward(self, output: AssessorOutput, mask: Tensor, truth: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Loss of a batch: "loss" (the weighted sum) and each computed term, unweighted.

        Mask and truth are float (B, 1, H, W) in {0, 1}, valid is bool (B, 1, H, W).
        """
        logits = output.quality_logits.float()
        if self.decoding == "consistent":
            logits = quality.constrain(logits, mask)
        valid_float = valid.float()
        terms: dict[str, Tensor] = {}
        target = quality.encode(mask, truth).squeeze(1)
        if self.weights.cross_entropy:
            terms["cross_entropy"] = self._cross_entropy(logits, target, valid.squeeze(1))
        if self.weights.edge and output.edge_logits is not None:
            edges, edge_logits = edge_target(truth), output.edge_logits.float()
            terms["edge"] = balanced_edge_cross_entropy(edge_logits, edges, valid_float) + dice_loss(
                edge_logits.sigmoid(), edges, valid_float, self.dice_over
            )
        if self.weights.object and output.object_logits is not None:
            object_logits = output.object_logits.float()
            wrong = F.binary_cross_entropy_with_logits(object_logits, truth, weight=valid_float, reduction="sum")
            overlap = dice_loss(object_logits.sigmoid(), truth, valid_float, self.dice_over)
            terms["object"] = wrong / valid_float.sum().clamp(min=1) + overlap
        if self.weights.refinement or self.weights.dice or self.weights.error_dice or self.weights.iou:
            probabilities = logits.softmax(dim=1)
            if self.weights.refinement:
                terms["refinement"] = refinement_loss(probabilities, mask, truth, valid_float)
            if self.weights.dice:
                true_object = quality.truth_probability(probabilities).unsqueeze(1)
                terms["dice"] = dice_loss(true_object, truth, valid_float, self.dice_over)
            if self.weights.error_dice:
                terms["error_dice"] = error_dice_loss(probabilities, target, valid_float)
            if self.weights.iou:
                terms["iou"] = iou_loss(probabilities, target, valid_float)
        if not terms:
            raise ConfigError("All terms of loss.weights belong to branches that this assessor does not have; choose others.")
        weighted = [getattr(self.weights, name) * term for name, term in terms.items()]
        return {"loss": torch.stack(weighted).sum(), **terms}

    def _cross_entropy(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        target = target.masked_fill(~valid, quality.NOT_ASSESSED)
        weight = self.class_weights
        if weight is None:
            counts = torch.bincount(target[valid], minlength=NUM_CLASSES).float()
            present = counts > 0
            weight = torch.where(present, 1 / counts.clamp(min=1), 0.0)
            weight = weight * present.sum() / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)
        summed = F.cross_entropy(logits, target, weight=weight, ignore_index=quality.NOT_ASSESSED, reduction="sum")
        norm = weight[target[valid]].sum().clamp(min=1e-12)
        return summed / norm
