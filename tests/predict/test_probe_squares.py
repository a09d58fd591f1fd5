import cv2
import numpy as np
import pytest

from segassess.predict.probe_squares import MARGIN, PERIOD, SIDE, judge_with_probe_squares
from segassess.quality import FN, FP, TN, TP

SIZE = (200, 230)


class Shortsighted:
    """Sees what is there in a window only if the mask has something in it; keeps the masks that it was asked for."""

    def __init__(self, truth):
        self.truth = truth
        self.asked = []

    def __call__(self, masks):
        self.asked.append(masks)
        seen = self.truth & masks.any(axis=(1, 2), keepdims=True)
        answer = np.zeros((len(masks), 4, *masks.shape[1:]), np.float32)
        answer[:, TP], answer[:, FP] = masks & seen, masks & ~seen
        answer[:, FN], answer[:, TN] = ~masks & seen, ~masks & ~seen
        return answer


@pytest.fixture
def truth():
    truth = np.zeros((2, *SIZE), bool)
    truth[:, 20:80, 30:90] = truth[:, 150:, 200:] = True
    return truth


def test_what_is_missing_is_seen_where_the_mask_is_empty(truth):
    masks = np.zeros_like(truth)
    masks[1, 20:80, 30:60] = True
    judge = Shortsighted(truth)
    answer = judge_with_probe_squares(judge, masks)
    assert np.array_equal(answer[0, FN] == 1, truth[0]) and np.array_equal(answer[0, TN] == 1, ~truth[0])
    assert np.array_equal(answer[1], judge(masks)[1])
    np.testing.assert_allclose(answer.sum(axis=1), 1)


def test_a_little_mask_stays_and_is_judged(truth):
    masks = np.zeros_like(truth)
    masks[:, 22:30, 25:35] = True
    judge = Shortsighted(truth)
    answer = judge_with_probe_squares(judge, masks)
    expected = Shortsighted(truth)(masks)
    np.testing.assert_allclose(answer, expected)
    assert len(judge.asked) == 2 and all((asked & masks == masks).all() for asked in judge.asked)
    added = [asked & ~masks for asked in judge.asked]
    assert not (added[0] & added[1]).any()
    for squares in added:
        assert 0.03 < squares.mean() < (SIDE / PERIOD) ** 2 * 1.5
        assert not squares[:, 22 - MARGIN : 30 + MARGIN, 25 - MARGIN : 35 + MARGIN].any()


def test_windows_with_objects_are_judged_once(truth):
    judge = Shortsighted(truth)
    np.testing.assert_array_equal(judge_with_probe_squares(judge, truth), judge(truth))
    assert len(judge.asked) == 2


def test_what_is_said_beside_a_square_does_not_count():
    """The outline of a square is an error of its own kind, which spoils all that is near."""

    def judge(masks):
        disturbed = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0 for mask in masks])
        answer = np.zeros((len(masks), 4, *SIZE), np.float32)
        answer[:, FN], answer[:, TN] = disturbed, ~disturbed
        return answer

    answer = judge_with_probe_squares(judge, np.zeros((1, *SIZE), bool))
    assert not answer[:, FN].any() and (answer[:, TN] == 1).all()


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (48, 48), (96, 96)])
def test_any_size(size):
    truth = np.ones((1, *size), bool)
    answer = judge_with_probe_squares(Shortsighted(truth), np.zeros_like(truth))
    np.testing.assert_allclose(answer.sum(axis=1), 1)
    assert min(size) < PERIOD or (answer[0, FN] == 1).all()
