import csv
import math

import numpy as np
import pytest

from segassess.inference.objects import OBJECT_COLUMNS, score_objects, verdict, write_objects
from segassess.quality import FN, FP, TN, TP

SIZE = (40, 40)
RIGHT, WRONG, MISSED = np.s_[2:12, 2:12], np.s_[20:30, 20:25], np.s_[34:39, 2:8]


@pytest.fixture
def scene():
    """An object that is right but lacks a strip, one that is wrong, one that is missed, and specks.

    Returns probabilities, quality, mask and valid.
    """
    mask = np.zeros(SIZE, bool)
    mask[RIGHT] = mask[WRONG] = mask[0, 39] = True
    probabilities = np.zeros((4, *SIZE), np.float32)
    probabilities[TN] = ~mask
    probabilities[TP, mask], probabilities[FP, mask] = 0.75, 0.25
    probabilities[TP][RIGHT], probabilities[FP][RIGHT] = 1, 0
    probabilities[TP][WRONG], probabilities[FP][WRONG] = 0.125, 0.875
    strip, speck = np.s_[2:12, 12:14], np.s_[15, 35:37]
    for area, missing in ((strip, 0.5), (MISSED, 0.75), (speck, 1.0)):
        probabilities[FN][area], probabilities[TN][area] = missing, 1 - missing
    probabilities[FN, 34, 2], probabilities[TN, 34, 2] = 1, 0
    quality = probabilities.argmax(axis=0)
    quality[strip] = FN  # decided before calibration
    return probabilities, quality, mask, np.ones(SIZE, bool)


def test_objects_of_the_mask_and_missed_ones(scene):
    right, wrong, missed = score_objects(*scene, pixel_area_m2=0.25)
    assert (right.verdict, wrong.verdict, missed.verdict) == ("right", "wrong", "missed")
    assert (right.area_px, right.area_m2) == (100, 25) and (right.top, right.left, right.bottom, right.right) == (2, 2, 12, 12)
    assert (right.x, right.y) == (7, 7) and right.estimated_iou == pytest.approx(100 / 110)
    assert (right.expected_tp_px, right.expected_fn_px, right.expected_errors_px) == (100, 10, 10)
    assert right.mean_error == right.max_error == 0
    assert wrong.estimated_iou == pytest.approx(0.125) and wrong.mean_error == wrong.max_error == 0.875
    assert wrong.expected_errors_px == pytest.approx(50 * 0.875) and (wrong.x, wrong.y) == (22.5, 25)
    assert math.isnan(missed.estimated_iou) and missed.area_px == 30 and missed.expected_tp_px == 0
    assert missed.expected_fn_px == missed.expected_errors_px == pytest.approx(29 * 0.75 + 1)
    assert missed.mean_error == pytest.approx((29 * 0.75 + 1) / 30) and missed.max_error == 1
    assert (missed.top, missed.left, missed.bottom, missed.right) == (34, 2, 39, 8)


def test_the_smallest_area(scene):
    assert [each.area_px for each in score_objects(*scene, min_area=1)] == [1, 100, 50, 2, 30]
    assert [each.object for each in score_objects(*scene, min_area=40)] == [2, 3]


def test_what_is_not_valid_is_no_object(scene):
    probabilities, quality, mask, valid = scene
    valid[2:12, 2:7] = False
    probabilities[:, 20:30, 20:22] = np.nan
    right, wrong, missed = score_objects(probabilities, quality, mask, valid)
    assert (right.area_px, right.left, wrong.area_px, wrong.left) == (50, 7, 30, 22)
    assert all(np.isfinite([each.expected_errors_px, each.mean_error, each.max_error]).all() for each in (right, wrong, missed))


def test_verdicts():
    assert [verdict(iou) for iou in (0, 0.499, 0.5, 0.749, 0.75, 1)] == ["wrong"] * 2 + ["partly wrong"] * 2 + ["right"] * 2


def test_nothing_there():
    nothing = np.zeros(SIZE, bool)
    probabilities = np.zeros((4, *SIZE), np.float32)
    probabilities[TN] = 1
    assert score_objects(probabilities, np.full(SIZE, TN), nothing, ~nothing) == []


def test_the_table_has_the_most_errors_first(scene, tmp_path):
    write_objects(tmp_path / "objects.csv", score_objects(*scene))
    with (tmp_path / "objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == OBJECT_COLUMNS
    assert [(row["object"], row["verdict"], row["estimated_iou"]) for row in rows] == [
        ("3", "wrong", "0.125"),
        ("5", "missed", ""),
        ("2", "right", "0.909091"),
    ]
    write_objects(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == ",".join(OBJECT_COLUMNS) + "\n"
