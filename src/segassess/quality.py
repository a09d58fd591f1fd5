"""Class codes, names and colours of quality maps, and the algebra between mask, ground truth and quality map.

A quality map gives each pixel of a mask TP=0, FP=1, TN=2 or FN=3; 255 means "not assessed". Imports without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Plane = TypeVar("Plane", "Tensor", "NDArray[Any]")

TP, FP, TN, FN = 0, 1, 2, 3
NOT_ASSESSED = 255
NUM_CLASSES = 4
CLASS_NAMES = ("TP", "FP", "TN", "FN")
CLASS_LABELS = ("true positive", "false positive", "true negative", "false negative")

# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/): bluish green, vermillion, blue; TN transparent.
CLASS_COLOURS: tuple[tuple[int, int, int, int], ...] = (
    (0, 158, 115, 255),
    (213, 94, 0, 255),
    (0, 0, 0, 0),
    (0, 114, 178, 255),
)

Decoding: TypeAlias = Literal["consistent", "free"]
DECODINGS: tuple[Decoding, ...] = ("consistent", "free")

# Finite, so that softmax and cross-entropy stay finite in float16 as well.
IMPOSSIBLE_LOGIT = -1e4


def encode(mask: Tensor, truth: Tensor) -> Tensor:
    """Quality codes, int64 of the same shape, of a mask and its truth (..., H, W); > 0 is foreground in both."""
    import torch

    inside, true = mask > 0, truth > 0
    return torch.where(inside, torch.where(true, TP, FP), torch.where(true, FN, TN))


def constrain(quality_logits: Tensor, mask: Tensor) -> Tensor:
    """Logits (B, 4, H, W) with TP and FP ruled out outside the mask (B, 1, H, W; > 0 is foreground), TN and FN inside it."""
    import torch

    inside = mask > 0
    impossible = torch.cat([~inside, ~inside, inside, inside], dim=1)
    return quality_logits.masked_fill(impossible, IMPOSSIBLE_LOGIT)


def probabilities(quality_logits: Tensor, mask: Tensor, decoding: Decoding) -> Tensor:
    """Class probabilities, float (B, 4, H, W), of logits; "consistent" applies `constrain` first, "free" is a plain softmax."""
    if decoding == "consistent":
        quality_logits = constrain(quality_logits, mask)
    return quality_logits.softmax(dim=1)


def decode(quality_probabilities: Tensor) -> Tensor:
    """Most probable class per pixel: (B, 4, H, W) -> int64 (B, H, W)."""
    return quality_probabilities.argmax(dim=1)


def error_map(quality_probabilities: Tensor) -> Tensor:
    """P(FP) + P(FN) per pixel: (B, 4, H, W) -> float (B, H, W) in [0, 1]."""
    return quality_probabilities[:, FP] + quality_probabilities[:, FN]


def truth_probability(quality_probabilities: Tensor) -> Tensor:
    """P(object) = P(TP) + P(FN) per pixel: (B, 4, H, W) -> float (B, H, W) in [0, 1]."""
    return quality_probabilities[:, TP] + quality_probabilities[:, FN]


def refine(mask: Plane, quality: Plane) -> Plane:
    """Bool mask without its predicted FP and with its predicted FN; pixels that were not assessed keep the mask."""
    refined: Plane = ((mask > 0) & (quality != FP)) | (quality == FN)
    return refined
