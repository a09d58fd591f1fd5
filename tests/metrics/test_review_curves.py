import math

import pytest

from segassess.metrics.review_curves import area_under_review_curve, found_at, review_curve, review_metrics

TRUE = [10, 0, 50, 40]


def test_by_hand():
    looked, found = review_curve([3.0, 1.0, 2.0, 4.0], TRUE)  # looked at: 40, 10, 50, 0
    assert looked.tolist() == [0, 0.25, 0.5, 0.75, 1] and found.tolist() == pytest.approx([0, 0.4, 0.5, 1, 1])
    area = 0.25 * (0.2 + 0.45 + 0.75 + 1.0)
    assert area_under_review_curve([3.0, 1.0, 2.0, 4.0], TRUE) == pytest.approx(area)
    assert found_at([3.0, 1.0, 2.0, 4.0], TRUE, 0.5) == pytest.approx(0.5)
    assert found_at([3.0, 1.0, 2.0, 4.0], TRUE) == pytest.approx(0.4 * 0.2 / 0.25)


def test_the_oracle_is_the_best_order():
    metrics = review_metrics([3.0, 1.0, 2.0, 4.0], TRUE)
    assert metrics["review_area_oracle"] == pytest.approx(0.25 * (0.25 + 0.7 + 0.95 + 1.0))
    assert metrics["review_area"] < metrics["review_area_oracle"]
    assert review_metrics(TRUE, TRUE)["review_area"] == metrics["review_area_oracle"]


def test_ties_are_the_mean_of_their_orders():
    assert review_curve([1.0] * 4, TRUE)[1].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    orders = [review_curve(order, TRUE)[1] for order in ([4.0, 1.0, 3.0, 2.0], [4.0, 1.0, 2.0, 3.0])]
    tied = review_curve([4.0, 1.0, 2.0, 2.0], TRUE)[1]
    assert tied.tolist() == pytest.approx(((orders[0] + orders[1]) / 2).tolist())
    assert area_under_review_curve([0.0] * 4, TRUE) == pytest.approx(0.5)


def test_nothing_to_find():
    for predicted, true in (([1.0, 2.0], [0, 0]), ([], [])):
        assert all(math.isnan(value) for value in review_metrics(predicted, true).values())


def test_each_mask_needs_a_prediction():
    with pytest.raises(ValueError, match="2 for 4"):
        review_curve([1.0, 2.0], TRUE)
