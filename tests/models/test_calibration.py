"""Calibrated probabilities: what stays, what changes, and that fitting finds what was wrong."""

import math

import numpy as np
import pytest
import torch

from segassess import quality
from segassess.errors import ConfigError
from segassess.metrics.reliability import Reliability
from segassess.models.calibration import Calibration, CalibrationFit
from segassess.quality import FN, FP, TN, TP

CALIBRATION = Calibration(fp=(0.5, 0.3), fn=(0.8, -1.0), cuts=(-1.0, 0.5))


def logit(probability: torch.Tensor) -> torch.Tensor:
    return probability.double().logit()


@pytest.fixture
def free() -> torch.Tensor:
    return torch.randn(2, 4, 30, 40, generator=torch.Generator().manual_seed(0)).mul(2).softmax(dim=1)


def test_sums_of_pairs_stay_and_their_odds_are_mapped(free):
    free = free.double()  # in single precision the logit of 0.9999 is known to three digits
    result = CALIBRATION(free)
    for right, wrong, (scale, shift) in ((TP, FP, CALIBRATION.fp), (TN, FN, CALIBRATION.fn)):
        pair, mapped = free[:, right] + free[:, wrong], result[:, right] + result[:, wrong]
        torch.testing.assert_close(mapped, pair)
        expected = scale * logit(free[:, wrong] / pair) + shift
        torch.testing.assert_close(logit(result[:, wrong] / mapped), expected, atol=1e-9, rtol=0)


def test_the_identity_changes_nothing(free):
    assert torch.equal(Calibration()(free), free)
    assert torch.equal(Calibration(fp=(2.0, 0.0))(free)[:, [TN, FN]], free[:, [TN, FN]])


def test_a_calibration_holds_for_both_decodings():
    logits = torch.randn(1, 4, 20, 20, generator=torch.Generator().manual_seed(1))
    mask = (torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    consistent, free = (CALIBRATION(quality.probabilities(logits, mask, decoding)) for decoding in ("consistent", "free"))
    inside = mask[:, 0] > 0
    torch.testing.assert_close(consistent[:, FP][inside], (free[:, FP] / (free[:, TP] + free[:, FP]))[inside])
    assert (consistent[:, [TN, FN]] == 0).all(dim=1)[inside].all()
    torch.testing.assert_close(consistent.sum(dim=1), torch.ones(1, 20, 20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_certain_pixels_stay_certain_and_nan_stays_nan(dtype):
    pixels = torch.eye(4).reshape(1, 4, 1, 4).to(dtype)
    assert torch.equal(CALIBRATION(pixels), pixels) and CALIBRATION(pixels).dtype == dtype
    pixels[:, :, 0, 2] = math.nan
    result = CALIBRATION(pixels)
    assert result[:, :, 0, 2].isnan().all() and result.isnan().sum() == 4


def test_a_calibration_as_primitives():
    assert Calibration.from_dict(CALIBRATION.as_dict()) == CALIBRATION
    assert Calibration.from_dict({}) == Calibration()
    for wrong in ((0.0, 0.0), (-1.0, 0.0), (1.0, math.nan), (math.inf, 0.0)):
        with pytest.raises(ValueError, match="positive scale"):
            Calibration(fn=wrong)
    with pytest.raises(ValueError, match="cuts must be finite"):
        Calibration(cuts=(0.0, math.inf))
    assert Calibration.from_dict({"fp": [2.0, 0.0]}) == Calibration(fp=(2.0, 0.0))  # of before there were cuts


def test_decisions_fall_at_the_cuts(free):
    decided = quality.decode(CALIBRATION.for_decisions(free))
    for right, wrong, cut in ((TP, FP, -1.0), (TN, FN, 0.5)):
        chosen = (decided == right) | (decided == wrong)
        assert torch.equal((decided == wrong)[chosen], ((free[:, wrong] / free[:, right]).log() > cut)[chosen])
    assert torch.equal(Calibration(fp=(2.0, 3.0)).for_decisions(free), free)


def test_cuts_have_the_best_iou_of_each_error_class():
    probabilities, mask, truth, valid = miscalibrated(Calibration(fp=(1.0, -2.0)))
    fit = CalibrationFit()
    fit.update(probabilities, mask, truth, valid)
    best = Calibration(cuts=fit.cuts())

    def iou(calibration, code):
        called = quality.decode(calibration.for_decisions(probabilities)) == code
        wrong = quality.encode(mask.float(), truth.float())[:, 0] == code
        return float((called & wrong).sum() / (called | wrong).sum())

    for position, code in enumerate((FP, FN)):
        for step in (-1.0, -0.3, 0.3, 1.0):
            moved = list(best.cuts)
            moved[position] += step
            assert iou(best, code) > iou(Calibration(cuts=tuple(moved)), code)
    # What was said of FP is two units of log-odds too low, and so is its cut.
    assert best.cuts[0] == pytest.approx(best.cuts[1] - 2, abs=0.3)
    assert CalibrationFit().cuts() == (0.0, 0.0)


def miscalibrated(distortion: Calibration, images: int = 6, size: int = 150):
    """True P(error) is known; what is said of it is distorted, so that the inverse of the distortion is the calibration."""
    rng = np.random.default_rng(3)
    mask = rng.random((images, 1, size, size)) > 0.5
    odds = rng.normal(-1.5, 1.5, mask.shape)
    wrong = rng.random(mask.shape) < 1 / (1 + np.exp(-odds))
    scale, shift = (np.where(mask, fp, fn) for fp, fn in zip(distortion.fp, distortion.fn, strict=True))
    said = 1 / (1 + np.exp(-(odds * scale + shift)))
    probabilities = np.concatenate([(1 - said) * mask, said * mask, (1 - said) * ~mask, said * ~mask], axis=1)
    planes = torch.from_numpy(probabilities).float(), torch.from_numpy(mask), torch.from_numpy(mask != wrong)
    return *planes, torch.ones(mask.shape, dtype=torch.bool)


def fitted(kind, probabilities, mask, truth, valid) -> Calibration:
    fit = CalibrationFit()
    for index in range(len(mask)):
        fit.update(*(plane[index : index + 1] for plane in (probabilities, mask, truth, valid)))
    return fit.fit(kind)


def test_fitting_recovers_scale_and_shift():
    batch = miscalibrated(Calibration(fp=(2.0, 1.0), fn=(0.5, -0.25)))
    found = fitted("affine", *batch)
    assert found.fp == pytest.approx((0.5, -0.5), abs=0.04)
    assert found.fn == pytest.approx((2.0, 0.5), abs=0.1)
    before, after = (Reliability.of(calibrate(batch[0]), *batch[1:]).errors() for calibrate in (Calibration(), found))
    for name in ("ece", "ece_fp", "ece_fn"):
        assert after[name] < 0.012 and before[name] > 3 * after[name], name


def test_a_temperature_has_no_shift():
    found = fitted("temperature", *miscalibrated(Calibration(fp=(3.0, 0.0), fn=(0.5, 0.0))))
    assert found.fp == pytest.approx((1 / 3, 0.0), abs=0.02) and found.fn == pytest.approx((2.0, 0.0), abs=0.1)


def test_what_is_not_valid_or_unknown_does_not_count():
    probabilities, mask, truth, valid = miscalibrated(Calibration(fp=(2.0, 0.0)))
    expected = fitted("affine", probabilities[:5], mask[:5], truth[:5], valid[:5])
    truth[5] = ~truth[5]
    valid[5, :, :75] = False
    probabilities[5, :, 75:] = math.nan
    assert fitted("affine", probabilities, mask, truth, valid) == expected


def test_a_class_without_errors_or_pixels_keeps_the_identity():
    probabilities, mask, truth, valid = miscalibrated(Calibration(fp=(2.0, 0.0), fn=(2.0, 0.0)))
    no_misses = fitted("affine", probabilities, mask, truth & mask, valid)
    assert no_misses.fn == (1.0, 0.0) and no_misses.fp != (1.0, 0.0)
    assert CalibrationFit().fit() == Calibration()


def test_odds_that_say_everything_have_a_finite_calibration():
    mask = torch.ones(1, 1, 1, 4)
    error = torch.tensor([0.0, 0.1, 0.9, 1.0]).reshape(1, 1, 1, 4)
    probabilities = torch.cat([1 - error, error, error * 0, error * 0], dim=1)
    found = fitted("affine", probabilities, mask, (error < 0.5).float(), mask > 0)
    assert found.fp[0] > 5 and np.isfinite(found.fp).all()


def test_unknown_kinds_are_refused():
    with pytest.raises(ConfigError, match="temperature, affine"):
        CalibrationFit().fit("isotonic")


@pytest.mark.parametrize(
    "calibration",
    [Calibration(), Calibration((0.8, -0.3), (0.5, -0.7), (-1.1, 1.0)), Calibration(cuts=(1e3, -1e3))],
    ids=["none", "fitted", "far cuts"],
)
def test_arrays_are_judged_as_tensors_are(calibration):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.3] * 4, (200, 250)).transpose(2, 0, 1).astype(np.float32)
    probabilities[[2, 3], :10], probabilities[[0, 1], 10:20], probabilities[0, 20] = 0, 0, 0
    given = torch.from_numpy(probabilities)[None]
    assert np.array_equal(calibration.decide(probabilities), quality.decode(calibration.for_decisions(given))[0].numpy())
    calibrated = calibration.of_array(probabilities)
    assert calibrated.dtype == np.float32
    np.testing.assert_allclose(calibrated, calibration(given)[0].numpy(), rtol=1e-5, atol=1e-7)
    assert np.isnan(calibration.of_array(np.full((4, 1, 1), np.nan, np.float32))).all()


def test_a_weight_of_two_counts_a_batch_twice(free):
    generator = torch.Generator().manual_seed(3)
    mask, truth = (torch.rand(2, 1, 30, 40, generator=generator) > 0.5 for _ in range(2))
    valid = torch.ones_like(mask)
    other = free.flip(dims=(2,))
    fits = [CalibrationFit() for _ in range(3)]
    for fit, weights in zip(fits, ([2.0], [1.0, 1.0], [1.0]), strict=True):
        fit.update(free, mask, truth, valid)
        for weight in weights:
            fit.update(other, mask, ~truth, valid, weight)
    weighted, twice, once = ((fit.fit(), fit.cuts()) for fit in fits)
    assert weighted == twice != once
