import math

import numpy as np
import pytest

from segassess.metrics.missed_recall import MissedCalls

NO_MASK = np.zeros((64, 64), bool)


def box(top: int, left: int, side: int = 10) -> np.ndarray:
    pixels = np.zeros((64, 64), bool)
    pixels[top : top + side, left : left + side] = True
    return pixels


def test_a_call_finds_what_it_touches_and_is_right_if_half_of_it_is():
    truth = box(0, 0) | box(30, 30)
    called = box(0, 0) | box(30, 35) | box(50, 0)
    p_fn = np.where(box(0, 0), 0.9, 0.6)
    calls = MissedCalls.of(p_fn, called, truth, NO_MASK)
    assert calls.right == (True, True, False) and calls.scores == pytest.approx((0.9, 0.6, 0.6))
    assert calls.found == pytest.approx((0.9, 0.6))
    # The second call has the score of the false one: the list is cut above both.
    assert calls.metrics() == {"missed_recall": 0.5, "missed_objects": 2.0}


def test_a_mask_that_touches_nothing_called_finds_nothing():
    calls = MissedCalls.of(np.ones((64, 64)), NO_MASK, box(0, 0), NO_MASK)
    assert calls.found == (-1.0,) and calls.metrics()["missed_recall"] == 0
    none = MissedCalls.of(np.ones((64, 64)), box(0, 0), NO_MASK, NO_MASK).metrics()
    assert math.isnan(none["missed_recall"]) and none["missed_objects"] == 0


def test_one_call_in_twenty_may_be_false_wherever_it_stands():
    scores = tuple(1 - index / 100 for index in range(40))
    right = tuple(index != 3 for index in range(40))
    found = tuple(score for score, hit in zip(scores, right, strict=True) if hit)
    # With the false one fourth, the list is too bad until 20 calls are in it, and good from there on.
    assert MissedCalls(scores, right, found).metrics()["missed_recall"] == 1
    assert MissedCalls(scores[:19], right[:19], found[:18]).metrics()["missed_recall"] == pytest.approx(3 / 18)


def test_masks_add_up():
    one = MissedCalls((0.9,), (True,), (0.9,))
    other = MissedCalls((0.95,), (False,), (-1.0,))
    assert one.metrics()["missed_recall"] == 1
    assert (one + other).metrics() == {"missed_recall": 0.0, "missed_objects": 2.0}
    assert sum([one, one], start=MissedCalls()).metrics()["missed_objects"] == 2
