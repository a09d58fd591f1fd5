import math

import numpy as np
import pytest
import torch

from segassess.metrics.reliability import BINS, Reliability, calibration_error, reliability_curve


def scene():
    """Two pixels inside the mask, of which one is wrong, and four outside, of which one is; one more is not valid."""
    error = torch.tensor([0.9, 0.9, 0.1, 0.1, 0.1, 0.5, 1.0])
    inside = torch.tensor([1, 1, 0, 0, 0, 0, 0]).bool()
    wrong = torch.tensor([1, 0, 0, 0, 0, 1, 0]).bool()
    probabilities = torch.stack([(1 - error) * inside, error * inside, (1 - error) * ~inside, error * ~inside])
    planes = inside, inside != wrong, torch.arange(7) < 6
    return probabilities.reshape(1, 4, 1, 7), *(plane.reshape(1, 1, 1, 7) for plane in planes)


def test_by_hand():
    errors = Reliability.of(*scene()).errors()
    assert errors["ece_fp"] == pytest.approx(0.4)  # half of them wrong, 0.9 said
    assert errors["ece_fn"] == pytest.approx((3 * 0.1 + 1 * 0.5) / 4)
    assert errors["ece"] == pytest.approx((2 * 0.4 + 3 * 0.1 + 1 * 0.5) / 6)


def test_the_curve():
    reliability = Reliability.of(*scene())
    predicted, observed, pixels = reliability_curve(reliability.everywhere)
    assert pixels.tolist() == [0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0] and len(pixels) == BINS
    assert predicted[13] == pytest.approx(0.9) and observed[13] == pytest.approx(0.5)
    assert observed[1] == 0 and observed[7] == 1 and np.isnan(predicted[0]) and np.isnan(observed[14])


def test_sides_do_not_cancel_but_bins_are_pooled():
    """FP that are too rare and FN that are too frequent at the same P(error): each side is off, all pixels together are not."""
    inside = torch.tensor([1, 1, 0, 0]).bool()
    truth = torch.tensor([1, 1, 1, 1]).bool()
    probabilities = torch.full((1, 4, 1, 4), 0.5) * torch.stack([inside, inside, ~inside, ~inside]).reshape(1, 4, 1, 4)
    planes = (plane.reshape(1, 1, 1, 4) for plane in (inside, truth, torch.ones(4).bool()))
    assert Reliability.of(probabilities, *planes).errors() == {"ece": 0.0, "ece_fp": 0.5, "ece_fn": 0.5}


def test_parts_add_up_and_nan_does_not_count():
    probabilities, *planes = scene()
    left, right = (Reliability.of(*(plane[..., part] for plane in (probabilities, *planes))) for part in (slice(3), slice(3, 7)))
    whole = Reliability.of(probabilities, *planes)
    np.testing.assert_allclose((left + right).everywhere, whole.everywhere)
    probabilities[..., 0] = math.nan
    assert Reliability.of(probabilities, *planes).everywhere[0].sum() == 5
    assert math.isnan(calibration_error(Reliability.none().everywhere))


def test_certain_pixels_lie_in_the_outer_bins():
    probabilities = torch.eye(4).reshape(1, 4, 1, 4)
    mask, valid = torch.tensor([1, 1, 0, 0]).reshape(1, 1, 1, 4), torch.ones(1, 1, 1, 4).bool()
    truth = torch.tensor([1, 0, 0, 1]).reshape(1, 1, 1, 4)
    reliability = Reliability.of(probabilities, mask, truth, valid)
    assert reliability.everywhere[0, [0, -1]].tolist() == [2, 2] and reliability.errors()["ece"] == 0
