"""Join what an assessor says of a mask with what the fit to its layer says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit

from segassess.models.calibration import Calibration
from segassess.predict.fit.evidence import PAIRS, PLANES, Evidence, assessor_evidence, fit_means, inside_mask
from segassess.predict.fit.self_confidence import SelfConfidence

# No joined log-odds are so far from 0.
_FAR = 500.0
# So many times as many errors as the fit expects are expected at most.
_MOST = 2.0
# Limits of expected shares of wrong pixels.
_SHARES = 1e-4, 0.9
# Weights of evidence lie between 0 and this. Where the windows say little they are pulled towards the usual ones, in which a
# pixel counts, and not what is around it; the pull is in units of the mean log-likelihood.
_HEAVIEST, _PULL = 5.0, 1e-3
_USUAL = np.array(([0.5] + [0.0] * (PLANES - 1)) * 2)
# An assessor whose weight for damaged objects is lower, or that expects more times as many errors as the fit, does not know this
# kind of object or imagery.
_KNOWN, _BELIEVED = 0.2, 4.0

# Of a damaged mask: evidence of one class of error (2 * PLANES, N), and which pixels are damaged (N,).
Damage: TypeAlias = tuple[Evidence, NDArray[np.bool_]]


@dataclass(frozen=True)
class Weights:
    """How evidence of one class of error is joined: planes of the assessor's and of the fit's times weights, plus a shift."""

    of_assessor: tuple[float, ...]
    of_fit: tuple[float, ...]
    shift: float = 0.0

    def __call__(self, evidence: Evidence) -> NDArray[np.float32]:
        """Joined log-odds (...) of evidence (2 * PLANES, ...); NaN stays NaN."""
        weights = np.array([*self.of_assessor, *self.of_fit], np.float32)
        return np.asarray(np.tensordot(weights, evidence, 1) + self.shift, np.float32)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict`, by way of JSON; raises TypeError or KeyError for another content."""
        return cls(tuple(content["of_assessor"]), tuple(content["of_fit"]), float(content["shift"]))

    @classmethod
    def learned(cls, evidence: Evidence, wrong: NDArray[np.bool_]) -> "Weights":
        """Weights of 0 or more that tell wrong pixels (N,) from right ones best: a logistic regression.

        The shift is left out, because it depends on how many are wrong. Without pixels assessor and fit count alike.
        """
        if not len(wrong):
            return cls(*_halves(_USUAL))

        def loss(unknown: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            mixed = unknown[:-1] @ evidence + unknown[-1]
            slope = (expit(mixed) - wrong) / len(wrong)
            off = unknown[:-1] - _USUAL
            value = np.logaddexp(0, np.where(wrong, -mixed, mixed)).mean() + 0.5 * _PULL * float(off @ off)
            return float(value), np.append(evidence @ slope + _PULL * off, slope.sum())

        bounds = [(0.0, _HEAVIEST)] * len(_USUAL) + [(-20.0, 20.0)]
        return cls(*_halves(minimize(loss, np.append(_USUAL, 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]))

    @property
    def assessor(self) -> float:
        """What the assessor counts in all."""
        return sum(self.of_assessor)

    @property
    def fit(self) -> float:
        """What the fit counts in all."""
        return sum(self.of_fit)

    def expected_errors(self, evidence: Evidence) -> float:
        """Share of wrong pixels that both expect, weighted alike, from evidence of N > 0 pixels.

        On ground that it does not know an assessor expects far too many, so `_MOST` times what the fit expects is the limit.
        """
        share = self.fit / (self.assessor + self.fit) if self.assessor + self.fit > 0 else 0.5
        first, second = expected_errors(evidence[0]), expected_errors(evidence[PLANES])
        return float(min(first ** (1 - share) * second**share, _MOST * second))

    def shifted_to(self, evidence: Evidence, expected: float) -> "Weights":
        """The same weights, and a shift so that this share of the N > 0 pixels is expected to be wrong."""
        mixed = self(evidence)
        shift = brentq(lambda shift: expit(mixed + shift).mean() - expected, -_FAR, _FAR)
        return Weights(self.of_assessor, self.of_fit, self.shift + float(shift))


def find_weights(layers: Sequence[Evidence], by_objects: Sequence[Damage], anywhere: Sequence[Damage] = ()) -> list[Weights]:
    """Weights of each class of error, of evidence of a layer (2 * PLANES, N), and of its damage; all in the order of the classes.

    A drawn layer errs by objects; `anywhere` is damage of a further kind for one that errs anywhere, as networks do. A network
    repeats its errors, so the fit learns and overlooks many; how many there are the assessor knows better, if it knows the
    object at all. It does not if it overlooks damaged objects of one class, or expects errors everywhere.
    """
    learned = [Weights.learned(*damage) for damage in by_objects]
    known = bool(anywhere) and all(
        found.assessor >= _KNOWN and (not each.shape[1] or expected_errors(each[0]) <= _BELIEVED * expected_errors(each[PLANES]))
        for found, each in zip(learned, layers, strict=True)
    )
    result = []
    for number, (evidence, found) in enumerate(zip(layers, learned, strict=True)):
        if not evidence.shape[1]:
            result.append(found)
            continue
        expected = found.expected_errors(evidence)
        if known:
            found, expected = Weights.learned(*anywhere[number]), expected_errors(evidence[0])
        elif not anywhere and len(by_objects[number][1]):
            expected = math.sqrt(expected * own_errors(*by_objects[number]))
        result.append(found.shifted_to(evidence, expected))
    return result


def expected_errors(odds: NDArray[np.float32]) -> float:
    """Share of wrong pixels that log-odds (N,) expect, N > 0."""
    return float(np.clip(expit(odds).mean(), *_SHARES))


def own_errors(evidence: Evidence, damaged: NDArray[np.bool_]) -> float:
    """Share of wrong pixels of a layer among N not `damaged`, if its own errors look like the damage.

    A logistic regression for damage whose negatives are partly wrong: P(damaged) = (1 - own) sigmoid(weights evidence + c), by
    maximum likelihood. What looks like damage and was not done is the layer's own error.
    """
    count = len(_USUAL)

    def loss(unknown: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        own, wrong = expit(unknown[-1]), expit(unknown[:count] @ evidence + unknown[count])
        seen = np.clip((1 - own) * wrong, 1e-9, 1 - 1e-9)
        slope = np.where(damaged, -1 / seen, 1 / (1 - seen)) / len(damaged)
        off = unknown[:count] - _USUAL
        of_odds = slope * (1 - own) * wrong * (1 - wrong)
        of_own = -(slope @ wrong) * own * (1 - own)
        value = -np.log(np.where(damaged, seen, 1 - seen)).mean() + 0.5 * _PULL * float(off @ off + 2 * unknown[-1] ** 2)
        return float(value), np.array([*(evidence @ of_odds + _PULL * off), of_odds.sum(), of_own + 2 * _PULL * unknown[-1]])

    bounds = [(0.0, _HEAVIEST)] * count + [(-20.0, 20.0), (-6.0, 3.0)]
    found = minimize(loss, np.array([*_USUAL, -1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    wrong = expit(found[:count] @ evidence + found[count]).mean() * expit(found[-1])
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
        inside, fitted = inside_mask(joined), self.confidence.log_odds(reference)
        own = np.where(inside, *fitted)[None]
        evidence = np.concatenate([assessor_evidence(joined, inside), own, fit_means(reference, inside)])
        for (right, wrong), weights, side in zip(PAIRS, (self.fp, self.fn), (inside, ~inside), strict=True):
            pair, mixed = joined[right] + joined[wrong], weights(evidence)
            np.copyto(joined[wrong], pair * expit(mixed), where=side)
            np.copyto(joined[right], pair * expit(-mixed), where=side)
        return joined

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict`, by way of JSON; raises TypeError or KeyError for another content."""
        fp_cut, fn_cut = content["cuts"]
        confidence, assessor = SelfConfidence(**content["confidence"]), Calibration.from_dict(content["assessor"])
        fp, fn = (Weights.from_dict(content[name]) for name in ("fp", "fn"))
        return cls(confidence, assessor, fp, fn, (float(fp_cut), float(fn_cut)))

    @property
    def calibration(self) -> Calibration:
        """How to decide on joined probabilities: they are calibrated, and have cuts."""
        return Calibration(cuts=self.cuts)


def _halves(weights: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights of the assessor's planes, and of the fit's."""
    first, second = (tuple(float(each) for each in half) for half in (weights[:PLANES], weights[PLANES:]))
    return first, second
