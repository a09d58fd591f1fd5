"""Join what an assessor says of a mask with what the fit to its layer says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit

from segassess.models.calibration import Calibration
from segassess.predict.fit.self_confidence import SelfConfidence
from segassess.quality import FN, FP, TN, TP

# The classes that a pixel can have inside the mask, and outside: right, wrong.
PAIRS = ((TP, FP), (TN, FN))
_LARGEST = 15.0
# No joined log-odds are so far from 0.
_FAR = 500.0
# So many times as many errors as the fit expects are expected at most.
_MOST = 2.0
# Limits of expected shares of wrong pixels.
_SHARES = 1e-4, 0.9
# Pulls both weights towards these, in units of the mean log-likelihood, where the windows say little.
_USUAL, _PULL = 0.5, 1e-3
# An assessor whose weight for damaged objects is lower does not know this kind of object.
_KNOWN = 0.2

# Log-odds of one class of error (N,).
_Odds: TypeAlias = NDArray[np.float32]
# Of a damaged mask: log-odds of assessor and fit, and which pixels are damaged; one side of the mask, (N,) each.
Damage: TypeAlias = tuple[_Odds, _Odds, NDArray[np.bool_]]


@dataclass(frozen=True)
class Weights:
    """How the log-odds of one class of error are joined: `assessor` and `fit` times each, plus `shift`."""

    assessor: float
    fit: float
    shift: float = 0.0

    def __call__(self, assessed: _Odds, fitted: _Odds) -> NDArray[np.float32]:
        """Joined log-odds of any shape; NaN stays NaN."""
        return np.asarray(self.assessor * assessed + self.fit * fitted + self.shift, np.float32)

    @classmethod
    def learned(cls, assessed: _Odds, fitted: _Odds, wrong: NDArray[np.bool_]) -> "Weights":
        """Weights of 0 or more that tell wrong pixels from right ones best: (N,) log-odds, and which are wrong.

        The shift is left out, because it depends on how many are wrong. Without pixels both count alike.
        """
        if not len(wrong):
            return cls(_USUAL, _USUAL)

        def loss(unknown: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            first, second, shift = unknown
            mixed = first * assessed + second * fitted + shift
            slope = (expit(mixed) - wrong) / len(wrong)
            pulls = _PULL * (unknown[:2] - _USUAL)
            value = np.logaddexp(0, np.where(wrong, -mixed, mixed)).mean() + 0.5 * float(pulls @ (unknown[:2] - _USUAL))
            return float(value), np.array([slope @ assessed + pulls[0], slope @ fitted + pulls[1], slope.sum()])

        start, bounds = np.array([_USUAL, _USUAL, 0.0]), [(0.0, 5.0), (0.0, 5.0), (-20.0, 20.0)]
        first, second, _ = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(float(first), float(second))

    def expected_errors(self, assessed: _Odds, fitted: _Odds) -> float:
        """Share of wrong pixels that both expect, weighted alike, from (N,) log-odds, of which there must be some.

        On ground that it does not know an assessor expects far too many, so `_MOST` times what the fit expects is the limit.
        """
        share = self.fit / (self.assessor + self.fit) if self.assessor + self.fit > 0 else 0.5
        first, second = expected_errors(assessed), expected_errors(fitted)
        return float(min(first ** (1 - share) * second**share, _MOST * second))

    def shifted_to(self, assessed: _Odds, fitted: _Odds, expected: float) -> "Weights":
        """The same weights, and a shift so that this share of the pixels is expected to be wrong: (N,) log-odds, N > 0."""
        mixed = self(assessed, fitted)
        shift = brentq(lambda shift: expit(mixed + shift).mean() - expected, -_FAR, _FAR)
        return Weights(self.assessor, self.fit, float(shift))


def find_weights(assessed: _Odds, fitted: _Odds, by_objects: Damage, anywhere: Damage | None = None) -> Weights:
    """Weights of one class of error, of what assessor and fit say of a layer (N,), and of its damage.

    A drawn layer errs by objects; `anywhere` is damage of a further kind for one that errs anywhere, as networks do. A network
    repeats its errors, so the fit learns and overlooks many; how many there are the assessor knows better, if it knows the
    object at all.
    """
    found = Weights.learned(*by_objects)
    if not len(assessed):
        return found
    expected = found.expected_errors(assessed, fitted)
    if anywhere is None:
        if len(by_objects[0]):
            expected = math.sqrt(expected * own_errors(*by_objects))
    elif found.assessor >= _KNOWN:
        found, expected = Weights.learned(*anywhere), expected_errors(assessed)
    return found.shifted_to(assessed, fitted, expected)


def expected_errors(odds: _Odds) -> float:
    """Share of wrong pixels that (N,) log-odds expect, N > 0."""
    return float(np.clip(expit(odds).mean(), *_SHARES))


def own_errors(assessed: _Odds, fitted: _Odds, damaged: NDArray[np.bool_]) -> float:
    """Share of wrong pixels of a layer among those not `damaged`, if its own errors look like the damage; (N,) log-odds.

    A logistic regression for damage whose negatives are partly wrong: P(damaged) = (1 - own) sigmoid(a x + b y + c), by maximum
    likelihood. What looks like damage and was not done is the layer's own error.
    """
    odds = np.stack([assessed, fitted, np.ones_like(assessed)]).astype(np.float64)

    def loss(unknown: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        own, wrong = expit(unknown[3]), expit(unknown[:3] @ odds)
        seen = np.clip((1 - own) * wrong, 1e-9, 1 - 1e-9)
        slope = np.where(damaged, -1 / seen, 1 / (1 - seen)) / len(damaged)
        pulls = _PULL * np.array([*(unknown[:2] - _USUAL), 0, 2 * unknown[3]])
        of_odds = odds @ (slope * (1 - own) * wrong * (1 - wrong))
        of_own = -(slope @ wrong) * own * (1 - own)
        value = -np.log(np.where(damaged, seen, 1 - seen)).mean()
        value += 0.5 * _PULL * (((unknown[:2] - _USUAL) ** 2).sum() + 2 * unknown[3] ** 2)
        return float(value), np.array([*of_odds, of_own]) + pulls

    start, bounds = np.array([_USUAL, _USUAL, -1.0, 0.0]), [(0.0, 5.0), (0.0, 5.0), (-20.0, 20.0), (-6.0, 3.0)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    wrong = expit(found[:3] @ odds).mean() * expit(found[3])
    return float(np.clip(wrong, *_SHARES))


@dataclass(frozen=True)
class Fusion:
    """Joined log-odds of errors: a weighted sum of the assessor's, calibrated, and the fit's.

    Attributes:
        confidence: what the layer says about itself.
        assessor: calibration of the assessor.
        fp, fn: how both are weighted.
        cuts: joined log-odds of FP and FN above which a pixel is called an error.
    """

    confidence: SelfConfidence
    assessor: Calibration
    fp: Weights
    fn: Weights
    cuts: tuple[float, float] = (0.0, 0.0)

    def __call__(self, probabilities: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Joined quality probabilities (4, h, w), calibrated, of an assessor's (4, h, w) and a reference map (h, w).

        The mass of each pair, TP with FP and TN with FN, stays; NaN stays NaN.
        """
        joined = self.assessor.of_array(probabilities)
        assessed, fitted = assessed_odds(joined), self.confidence.log_odds(reference)
        for (right, wrong), weights, one, other in zip(PAIRS, (self.fp, self.fn), assessed, fitted, strict=True):
            pair, mixed = joined[right] + joined[wrong], weights(one, other)
            joined[wrong], joined[right] = pair * expit(mixed), pair * expit(-mixed)
        return joined

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict`, by way of JSON; raises TypeError or KeyError for another content."""
        fp_cut, fn_cut = content["cuts"]
        confidence, assessor = SelfConfidence(**content["confidence"]), Calibration.from_dict(content["assessor"])
        return cls(confidence, assessor, Weights(**content["fp"]), Weights(**content["fn"]), (float(fp_cut), float(fn_cut)))

    @property
    def calibration(self) -> Calibration:
        """How to decide on joined probabilities: they are calibrated, and have cuts."""
        return Calibration(cuts=self.cuts)


def assessed_odds(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log-odds of FP and of FN of quality probabilities (4, ...); NaN where they are NaN, finite where they are certain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(probabilities)
        odds = [np.where(probabilities[right] + probabilities[wrong] > 0, logs[wrong] - logs[right], 0) for right, wrong in PAIRS]
    unknown = np.isnan(probabilities).any(axis=0)
    false, missing = (np.where(unknown, np.nan, np.clip(each, -_LARGEST, _LARGEST)).astype(np.float32) for each in odds)
    return false, missing
