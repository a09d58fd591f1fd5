"""Calibration of quality probabilities, and the cuts above which a pixel is called an error.

The training loss gives the rare error classes more weight, so raw outputs neither read as probabilities nor decide well by the
larger one. Decisions (quality map, refined mask) therefore use per class the cut with the best IoU; everything read as a
probability or summed (error map, estimated scores) is calibrated. A pixel with a calibrated P(error) below one half can thus be
called an error.

Each error class has a scale (one over the temperature) and a shift of its log-odds, log P(FP) / P(TP) or log P(FN) / P(TN):
temperature scaling (arXiv 1706.04599) with shift 0, else Platt scaling. The pairs are independent, so one calibration fits both
decodings. Arrays serve processes without torch, tensors serve training; a test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from segassess.errors import ConfigError
from segassess.quality import FN, FP, TN, TP

if TYPE_CHECKING:
    from torch import Tensor

# Scale and shift of log-odds.
Affine: TypeAlias = tuple[float, float]
Kind: TypeAlias = Literal["temperature", "affine"]
KINDS: tuple[Kind, ...] = ("temperature", "affine")
IDENTITY: Affine = (1.0, 0.0)
NO_CUTS = (0.0, 0.0)
# Right and wrong class of each pair.
_PAIRS = ((TP, FP), (TN, FN))
# Log-odds that float32 can scale by.
_MOST = 80.0


@dataclass(frozen=True)
class Calibration:
    """Maps quality probabilities to calibrated ones; the identity by default.

    `fp` and `fn` are scale and shift of log P(FP) / P(TP) and of log P(FN) / P(TN); `cuts` are the log-odds of FP and FN,
    before scale and shift, above which a pixel is called an error. Raises ValueError if a scale is not positive or a number not
    finite.
    """

    fp: Affine = IDENTITY
    fn: Affine = IDENTITY
    cuts: tuple[float, float] = NO_CUTS

    def __post_init__(self) -> None:
        for name, (scale, shift) in (("fp", self.fp), ("fn", self.fn)):
            if not (math.isfinite(scale) and scale > 0 and math.isfinite(shift)):
                raise ValueError(f"calibration.{name} needs a positive scale and a finite shift, not {(scale, shift)}.")
        if not all(map(math.isfinite, self.cuts)):
            raise ValueError(f"calibration.cuts must be finite, not {self.cuts}.")

    def as_dict(self) -> dict[str, list[float]]:
        """Scale and shift by class, and the cuts; primitives only."""
        return {"fp": list(self.fp), "fn": list(self.fn), "cuts": list(self.cuts)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """Rebuild from `as_dict`; missing keys keep their defaults. Raises ValueError for a value that is not allowed."""
        (fp_scale, fp_shift), (fn_scale, fn_shift) = (content.get(name, IDENTITY) for name in ("fp", "fn"))
        fp_cut, fn_cut = content.get("cuts", NO_CUTS)
        return cls((float(fp_scale), float(fp_shift)), (float(fn_scale), float(fn_shift)), (float(fp_cut), float(fn_cut)))

    def then(self, later: Calibration) -> Calibration:
        """This calibration followed by the scale and shift of a `later` one; the cuts stay, so decisions do."""
        (fp_scale, fp_shift), (fn_scale, fn_shift) = (
            (scale * first, scale * second + shift)
            for (first, second), (scale, shift) in ((self.fp, later.fp), (self.fn, later.fn))
        )
        return Calibration((fp_scale, fp_shift), (fn_scale, fn_shift), self.cuts)

    def __call__(self, probabilities: Tensor) -> Tensor:
        """Calibrated probabilities of float (B, 4, H, W) in [0, 1], same shape and dtype; NaN stays NaN.

        P(TP) + P(FP) and P(TN) + P(FN) are preserved, and so are pixels certain (0 or 1) within their pair.
        """
        return _mapped(probabilities, self.fp, self.fn)

    def for_decisions(self, probabilities: Tensor) -> Tensor:
        """Uncalibrated probabilities, shifted so that the log-odds of each pair are 0 at its cut and the larger one decides."""
        fp_cut, fn_cut = self.cuts
        return _mapped(probabilities, (1.0, -fp_cut), (1.0, -fn_cut))

    def of_array(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities of a float32 array (4, H, W); see `__call__`."""
        return _mapped_array(probabilities, self.fp, self.fn)

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Quality codes, uint8 (H, W), of uncalibrated probabilities, float32 (4, H, W); arbitrary where they are NaN."""
        positive, negative = (_called(probabilities, *pair, cut) for pair, cut in zip(_PAIRS, self.cuts, strict=True))
        first, second = (probabilities[right] + probabilities[wrong] > 0 for right, wrong in _PAIRS)
        codes = np.where(first, positive, negative)
        # An assessor that may contradict the mask, or a blend of masks: the most probable class of all.
        both = first & second
        if both.any():
            fp_cut, fn_cut = self.cuts
            codes[both] = _mapped_array(probabilities[:, both], (1.0, -fp_cut), (1.0, -fn_cut)).argmax(axis=0)
        return codes


def _called(probabilities: NDArray[np.float32], right: int, wrong: int, cut: float) -> NDArray[np.uint8]:
    """The class of a pair that log-odds of `wrong` above the cut decide, uint8 (H, W)."""
    factor = np.float32(np.exp(np.clip(cut, -_MOST, _MOST)))
    return np.where(probabilities[wrong] > factor * probabilities[right], np.uint8(wrong), np.uint8(right))


def _mapped_array(probabilities: NDArray[np.float32], fp: Affine, fn: Affine) -> NDArray[np.float32]:
    result = probabilities.copy()
    for (right, wrong), (scale, shift) in zip(_PAIRS, (fp, fn), strict=True):
        if (scale, shift) == IDENTITY:
            continue
        pair = probabilities[right] + probabilities[wrong]
        # An impossible pair has no odds (0 / 0); a certain one has infinite odds.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            odds = np.float32(scale) * (np.log(probabilities[wrong]) - np.log(probabilities[right])) + np.float32(shift)
            result[wrong] = np.where(pair != 0, pair / (1 + np.exp(-odds)), 0)
            result[right] = np.where(pair != 0, pair / (1 + np.exp(odds)), 0)
    return result


def _mapped(probabilities: Tensor, fp: Affine, fn: Affine) -> Tensor:
    import torch

    result = probabilities.clone()
    for right, wrong, (scale, shift) in ((TP, FP, fp), (TN, FN, fn)):
        if (scale, shift) == IDENTITY:
            continue
        pair = probabilities[:, right] + probabilities[:, wrong]
        odds = scale * _log_odds(probabilities, right, wrong) + shift
        # An impossible pair has no odds (0 / 0).
        possible = pair != 0
        result[:, wrong] = torch.where(possible, pair * odds.sigmoid(), 0).to(result.dtype)
        result[:, right] = torch.where(possible, pair * (-odds).sigmoid(), 0).to(result.dtype)
    return result


class CalibrationFit:
    """Fits a `Calibration` to right and wrong pixels, counted over batches in bins of 1/32 log-odds from -20 to 20."""

    _LIMIT = 20
    _BINS = 2 * _LIMIT * 32
    _EDGES = np.linspace(-_LIMIT, _LIMIT, _BINS + 1)

    def __init__(self) -> None:
        import torch

        # FP, then FN; last axis: right, wrong.
        self._counts = torch.zeros(2, self._BINS, 2, dtype=torch.float64)

    def update(self, probabilities: Tensor, mask: Tensor, truth: Tensor, valid: Tensor, weight: float = 1.0) -> None:
        """Count the valid pixels of a batch of uncalibrated probabilities, float (B, 4, H, W), and planes (B, 1, H, W).

        Mask and truth are foreground where > 0. Pixels with NaN, or whose own pair is impossible, do not count; the others count
        `weight` times.
        """
        import torch

        inside, true, counted = mask[:, 0] > 0, truth[:, 0] > 0, valid[:, 0]
        sides = (TP, FP, inside), (TN, FN, ~inside)
        for counts, (right, wrong, side) in zip(self._counts, sides, strict=True):
            odds = _log_odds(probabilities, right, wrong)
            known = side & counted & ~odds.isnan()
            bins = ((odds[known] + self._LIMIT) * (self._BINS / (2 * self._LIMIT))).clamp(0, self._BINS - 1).long()
            index = bins * 2 + (inside != true)[known]
            counts += weight * torch.bincount(index, minlength=counts.numel()).reshape(counts.shape).cpu()

    def fit(self, kind: Kind = "affine") -> Calibration:
        """The calibration with the least negative log-likelihood per counted pixel.

        "temperature" fits the scale of each class, "affine" scale and shift. A class without right or wrong pixels keeps the
        identity. Raises ConfigError for an unknown kind.
        """
        if kind not in KINDS:
            raise ConfigError(f"The kind of calibration must be one of {', '.join(KINDS)}, not {kind!r}.")
        centres = (self._EDGES[:-1] + self._EDGES[1:]) / 2
        fp, fn = (fit_log_odds(centres, counts.numpy(), kind) for counts in self._counts)
        return Calibration(fp, fn)

    def cuts(self) -> tuple[float, float]:
        """Log-odds of FP and FN above which errors have the best IoU; 0 for a class without right or without wrong pixels."""
        found = []
        for counts in self._counts:
            right, wrong = counts.numpy()[::-1].T
            known = right.any() and wrong.any()
            found.append(float(self._EDGES[::-1][best_prefix(right, wrong)]) if known else 0.0)
        return found[0], found[1]


def best_prefix(right: NDArray[Any], wrong: NDArray[Any]) -> int:
    """How many of the first bins to call errors for the best IoU: hits / (all errors + right pixels called errors).

    `right` and `wrong` count the pixels (N,) of each bin, the likeliest errors first.
    """
    union = wrong.sum() + right.cumsum()
    iou = np.divide(wrong.cumsum(), union, out=np.zeros(len(wrong)), where=union > 0)
    return int(np.append(0.0, iou).argmax())


def _log_odds(probabilities: Tensor, right: int, wrong: int) -> Tensor:
    """Log of P(wrong) / P(right), (B, H, W), at least float32; infinite where certain, NaN where neither is possible."""
    import torch

    chosen = probabilities[:, [wrong, right]]
    odds = (chosen if chosen.dtype == torch.float64 else chosen.float()).log()
    return odds[:, 0] - odds[:, 1]


def fit_log_odds(odds: NDArray[np.float64], counts: NDArray[np.float64], kind: Kind) -> Affine:
    """Maximum-likelihood scale and shift (convex) for log-odds (N,) of bins with (N, 2) pixels that speak against and for."""
    from scipy.optimize import minimize

    right, wrong = counts.T
    if not right.any() or not wrong.any():
        return IDENTITY
    every = right + wrong
    total = every.sum()

    def loss(unknown: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, shift = unknown
        mapped = scale * odds + shift
        value = (wrong @ np.logaddexp(0, -mapped) + right @ np.logaddexp(0, mapped)) / total
        slope = (every * expit(mapped) - wrong) / total
        return value, np.array([slope @ odds, slope.sum()])

    # Counts that a threshold separates, or that contradict the odds, have no finite positive optimum.
    bounds = [(1e-2, 1e2), (0.0, 0.0) if kind == "temperature" else (-20.0, 20.0)]
    scale, shift = minimize(loss, np.array(IDENTITY), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14}).x
    return float(scale), float(shift)
