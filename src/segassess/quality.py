"""The words of the project as code: class codes, names, colours, and the algebra between mask, truth and quality map.

A quality map says for every pixel of a mask under evaluation whether the mask is a true positive (TP=0), false positive
(FP=1), true negative (TN=2) or false negative (FN=3) there; 255 means "not assessed". This is the only module that knows
the codes, their names and their colours. It can be imported where torch is not installed (see `segassess.predict.torch_free`).
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
    """Quality map of a mask against its truth.

    Args:
        mask: (..., H, W), any dtype, > 0 is foreground.
        truth: same shape, > 0 is foreground.

    Returns:
        int64 tensor of the same shape with the codes TP=0, FP=1, TN=2, FN=3.
    """
    import torch

    inside, true = mask > 0, truth > 0
    return torch.where(inside, torch.where(true, TP, FP), torch.where(true, FN, TN))


def truth_from_quality(quality: Tensor) -> Tensor:
    """Truth that a quality map implies: bool, same shape, true where the code is TP or FN."""
    return (quality == TP) | (quality == FN)


def constrain(quality_logits: Tensor, mask: Tensor) -> Tensor:
    """Rule out what cannot be: TP and FP outside the mask, TN and FN inside it.

    Args:
        quality_logits: (B, 4, H, W) logits.
        mask: (B, 1, H, W), > 0 is foreground.

    Returns:
        (B, 4, H, W) logits in which impossible classes are so low that softmax gives them probability 0.
    """
    import torch

    inside = mask > 0
    impossible = torch.cat([~inside, ~inside, inside, inside], dim=1)
    return quality_logits.masked_fill(impossible, IMPOSSIBLE_LOGIT)


def probabilities(quality_logits: Tensor, mask: Tensor, decoding: Decoding) -> Tensor:
    """Class probabilities of a quality map.

    Args:
        quality_logits: (B, 4, H, W) logits.
        mask: (B, 1, H, W), > 0 is foreground.
        decoding: "consistent" gives impossible classes probability 0; "free" is a plain softmax.

    Returns:
        float (B, 4, H, W) in [0, 1], summing to 1 over dim 1.
    """
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
    """Refined mask: the mask without its predicted FP and with its predicted FN.

    Args:
        mask: (..., H, W), tensor or array, > 0 is foreground.
        quality: same shape and kind, quality codes; pixels that were not assessed keep the mask.

    Returns:
        bool of the same shape.
    """
    refined: Plane = ((mask > 0) & (quality != FP)) | (quality == FN)
    return refined
