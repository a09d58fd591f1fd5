import math

import numpy as np
import pytest

from segassess.metrics.risk_coverage import risk_coverage_curve, risk_metrics


def test_risk_against_counting_pixels_one_by_one():
    rng = np.random.default_rng(0)
    p_error = rng.integers(0, 15, 4000) / 15 + 1 / 30
    wrong = rng.random(4000) < p_error**2
    bins = np.stack(
        [np.bincount((p_error * 15).astype(int), weights, minlength=15) for weights in (np.ones(4000), p_error, wrong)]
    )
    coverage, risk = risk_coverage_curve(bins)
    for share, value in list(zip(coverage, risk, strict=True))[1:]:
        taken = np.argsort(p_error, kind="stable")[: round(share * 4000)]
        assert value == pytest.approx(wrong[taken].mean())
    assert np.all(np.diff(risk) >= -0.01) and coverage[-1] == 1
    result = risk_metrics(bins)
    assert risk[0] < result["aurc"] < result["risk_95"] < wrong.mean()


def test_a_blind_score_leaves_the_share_of_errors_and_a_perfect_one_little():
    bins = np.zeros((3, 15))
    bins[:, 4] = 1000, 300, 100
    assert risk_metrics(bins) == pytest.approx({"risk_95": 0.1, "aurc": 0.1})
    perfect = np.zeros((3, 15))
    perfect[:, 0], perfect[:, 14] = (960, 0, 0), (40, 40, 40)
    assert risk_metrics(perfect)["risk_95"] == 0 and risk_metrics(perfect)["aurc"] < 0.001


def test_no_pixels():
    assert all(math.isnan(value) for value in risk_metrics(np.zeros((3, 15))).values())
    assert risk_coverage_curve(np.zeros((3, 15)))[0].size == 0
