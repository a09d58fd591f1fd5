"""From a reference map to errors: what the layer says of itself, and the join with an assessor."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit, logit

from segassess.models.calibration import Calibration
from segassess.predict.fit.evidence import PLANES, assessor_evidence, fit_means, inside_mask
from segassess.predict.fit.fusion import Fusion, Weights, expected_errors, find_weights, own_errors
from segassess.predict.fit.self_confidence import LabelCounts, SelfConfidence, best_cut
from segassess.quality import FN, FP, TN, TP


def simulated(omitted, invented, size=400_000, scale=1.0):
    """Reference P(object), labels and truth of pixels, of which the labels omit and invent some at random."""
    rng = np.random.default_rng(0)
    truth = rng.random(size) < 0.3
    labels = np.where(truth, rng.random(size) >= omitted, rng.random(size) < invented)
    odds = rng.normal(np.where(truth, 3.0, -3.0), 1.5)
    # What a network learns: P(label), from what it sees.
    exact = expit(np.log(0.3 / 0.7) + odds * 6 / 1.5**2)
    learned = exact * (1 - omitted) + (1 - exact) * invented
    return expit(scale * logit(learned)).astype(np.float32), labels, truth


@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize(("omitted", "invented"), [(0.1, 0.02), (0.02, 0.1), (0.3, 0.05)])
def test_rates_of_errors_are_found(omitted, invented, scale):
    reference, labels, truth = simulated(omitted, invented, scale=scale)
    counts = LabelCounts()
    counts.update(reference, labels, np.ones_like(labels))
    found = counts.self_confidence()
    assert found.omitted == pytest.approx(omitted, rel=0.25, abs=0.02)
    assert found.invented == pytest.approx(invented, rel=0.25, abs=0.02)
    false, missing = found.log_odds(reference)
    for odds, side, wrong in ((false, labels, ~truth), (missing, ~labels, truth)):
        # Mean P(error), and among the pixels that are called errors.
        assert expit(odds[side]).mean() == pytest.approx(wrong[side].mean(), abs=0.03)
        called = side & (odds > 0)
        assert wrong[called].mean() > 0.7


def test_invalid_pixels_do_not_count():
    counts = LabelCounts()
    counts.update(np.array([[0.2, 0.9]], np.float32), np.array([[False, True]]), np.array([[True, False]]))
    assert counts.counts.sum() == 1


def test_a_layer_of_one_class_keeps_finite_odds():
    counts = LabelCounts()
    counts.update(np.full((9, 9), 0.1, np.float32), np.zeros((9, 9), bool), np.ones((9, 9), bool))
    assert all(np.isfinite(odds).all() for odds in counts.self_confidence().log_odds(np.array([0.0, 0.5, 1.0], np.float32)))


def test_the_best_cut_has_the_best_expected_iou():
    odds = np.random.default_rng(0).normal(-2, 2, 300).astype(np.float32)
    wrong = expit(odds.astype(float))

    def expected_iou(cut):
        called = odds >= cut
        return wrong[called].sum() / (wrong.sum() + (1 - wrong[called]).sum())

    assert expected_iou(best_cut(odds)) == pytest.approx(max(map(expected_iou, odds)))
    assert best_cut(odds[:0]) == 0


def at_pixels(assessed, fitted):
    """Evidence (2 * PLANES, N) of pixels without neighbours."""
    nothing = [np.zeros_like(assessed)] * (PLANES - 1)
    return np.stack([assessed, *nothing, fitted, *nothing])


def weights_of(assessor, fit, around=0.0, shift=0.0):
    """Weights of the pixel itself, and of what is around it."""
    return Weights((assessor, *[around] * (PLANES - 1)), (fit, *[around] * (PLANES - 1)), shift)


def test_a_join_keeps_pairs_and_unknown_pixels():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), (5, 6)).transpose(2, 0, 1).astype(np.float32)
    probabilities[:, 0, 0] = np.nan
    probabilities[:, 1, 1] = [0.6, 0.4, 0, 0]
    reference = rng.random((5, 6)).astype(np.float32)
    confidence, calibration = SelfConfidence(1.2, 0.1, 0.05, 0.02), Calibration((0.8, 0.2), (1.1, -0.1))
    fusion = Fusion(confidence, calibration, weights_of(0.5, 0.8, 0.1, -0.1), weights_of(0.7, 0.2, 0.1, 0.3))
    joined = fusion(probabilities, reference)
    assert np.isnan(joined[:, 0, 0]).all() and np.isfinite(joined).sum() == 4 * 29
    for right, wrong in ((TP, FP), (TN, FN)):
        np.testing.assert_allclose(joined[right] + joined[wrong], probabilities[right] + probabilities[wrong], atol=1e-6)
    assert (joined[[TN, FN], 1, 1] == 0).all()
    # The surer the fit is of an object, the less the mask is wrong inside and the more outside.
    surer = fusion(probabilities, np.minimum(reference + 0.2, 1))
    known = ~np.isnan(joined[0])
    assert (surer[FP] <= joined[FP])[known].all() and (surer[FN] >= joined[FN])[known].all()


def test_a_join_survives_json():
    fusion = Fusion(
        SelfConfidence(1.2, 0.1, 0.05, 0.02), Calibration((0.8, 0.2)), weights_of(0.5, 0.8), weights_of(0.7, 0.2), (0.1, -2)
    )
    assert Fusion.from_dict(json.loads(json.dumps(asdict(fusion)))) == fusion


def test_evidence_is_gathered_inside_the_mask():
    inside = np.zeros((120, 160), bool)
    inside[30:70, 20:60] = inside[30:70, 90:130] = True
    probabilities = np.zeros((4, *inside.shape), np.float32)
    probabilities[TP][inside], probabilities[TN][~inside] = 0.9, 0.99
    probabilities[FP][inside], probabilities[FN][~inside] = 0.1, 0.01
    # The second object looks wrong, but for every fifth row.
    wrong = np.zeros_like(inside)
    wrong[30:70, 90:130] = (np.arange(40) % 5 > 0)[:, None]
    probabilities[TP][wrong], probabilities[FP][wrong] = 0.1, 0.9
    assert (inside_mask(probabilities) == inside).all()
    said = assessor_evidence(probabilities, inside)
    assert said.shape == (PLANES, 120, 160)
    own = said[:, 30:70, 90:130]
    assert np.ptp(own[0]) > 4 and all((each > 0.5).all() and np.ptp(each) < 2 for each in own[1:])
    # What is said of the other object, 30 px away, has hardly changed.
    assert np.allclose(said[1:, 30:70, 20:60], np.log(1 / 9), atol=0.4)
    assert np.allclose(said[0, ~inside], np.log(1 / 99), atol=1e-3) and (said[1:, ~inside] == 0).all()
    # Unknown pixels stay unknown, and say nothing of their neighbours.
    probabilities[:, 40, 100] = np.nan
    unknown = assessor_evidence(probabilities, inside_mask(probabilities))
    assert np.isnan(unknown[0, 40, 100]) and np.isnan(unknown).sum() == 1
    # What the fit is sure of counts against an error.
    surely = fit_means(np.full(inside.shape, 0.9, np.float32), inside)
    assert np.allclose(surely[:, inside], -np.log(9), atol=1e-3) and (surely[:, ~inside] == 0).all()


def test_the_one_who_knows_gets_the_weight():
    rng = np.random.default_rng(0)
    wrong = rng.random(20_000) < 0.1
    knows, guesses = (rng.normal(np.where(wrong, shift, -shift), 1).astype(np.float32) for shift in (2.0, 0.0))
    found = Weights.learned(at_pixels(guesses, knows), wrong)
    assert found.fit > 10 * found.assessor
    assert Weights.learned(at_pixels(knows, guesses), wrong).assessor == pytest.approx(found.fit, rel=0.05)
    # One who is wrong more often than right is not turned round.
    assert Weights.learned(at_pixels(-knows, guesses), wrong).assessor == 0


def test_what_is_around_a_pixel_counts_where_objects_are_wrong_as_a_whole():
    rng = np.random.default_rng(0)
    wrong = rng.random(20_000) < 0.1
    pixel, mean = (rng.normal(np.where(wrong, 2.0, -2.0), noise).astype(np.float32) for noise in (4.0, 1.0))
    evidence = at_pixels(pixel, np.zeros_like(pixel))
    evidence[PLANES - 1] = mean
    found = Weights.learned(evidence, wrong)
    assert found.of_assessor[-1] > 5 * found.of_assessor[0] and found.fit == pytest.approx(0.5, abs=0.01)


def test_as_many_errors_are_expected_as_both_expect():
    rng = np.random.default_rng(0)
    first, second = (rng.normal(mean, 1, 5000).astype(np.float32) for mean in (-3, -1))
    evidence, few, many = at_pixels(first, second), expit(first).mean(), expit(second).mean()
    for weights, expected in ((weights_of(1.3, 0), few), (weights_of(0, 0.7), many), (weights_of(1, 1), np.sqrt(few * many))):
        assert weights.expected_errors(evidence) == pytest.approx(expected, rel=1e-3)
        assert expit(weights.shifted_to(evidence, expected)(evidence)).mean() == pytest.approx(expected, rel=1e-3)


def test_without_pixels_both_count_alike():
    nothing = np.empty((2 * PLANES, 0), np.float32), np.empty(0, bool)
    found = Weights.learned(*nothing)
    assert found.assessor == found.fit > 0
    assert find_weights([nothing[0]], [nothing]) == [found]
    assert all(np.isfinite(odds).all() for odds in LabelCounts().self_confidence().log_odds(np.array([0, 1], np.float32)))


def test_the_layers_own_errors_are_counted_by_what_looks_like_damage():
    rng = np.random.default_rng(0)
    kind = rng.choice(3, 60_000, p=[0.82, 0.06, 0.12])  # right, damaged, wrong by itself
    evidence = at_pixels(*(rng.normal(np.where(kind > 0, 2.0, -2.0), 1.0).astype(np.float32) for _ in range(2)))
    assert own_errors(evidence, kind == 1) == pytest.approx(0.12, rel=0.25)
    clean = kind < 2
    assert own_errors(evidence[:, clean], kind[clean] == 1) < 0.02
    (joined,) = find_weights([evidence], [(evidence, kind == 1)])
    expected = np.sqrt(joined.expected_errors(evidence) * own_errors(evidence, kind == 1))
    assert expit(joined(evidence)).mean() == pytest.approx(expected, rel=0.02)


def test_of_a_network_the_assessor_says_how_often_it_errs_if_it_knows_the_object():
    rng = np.random.default_rng(0)
    wrong, damaged, elsewhere = (rng.random(60_000) < share for share in (0.2, 0.1, 0.1))

    def odds(seen):
        return rng.normal(np.where(seen, 2.0, -3.0), 1.0).astype(np.float32)

    # The fit has learned the network's errors: it sees none of them, but all damage; what is done elsewhere it sees badly.
    own = at_pixels(odds(wrong), odds(wrong & False))
    by_objects = at_pixels(odds(damaged), odds(damaged)), damaged
    anywhere = at_pixels(odds(elsewhere), odds(elsewhere & (rng.random(60_000) < 0.3))), elsewhere
    (joined,) = find_weights([own], [by_objects], [anywhere])
    assert expit(joined(own)).mean() == pytest.approx(expected_errors(own[0]), rel=0.02)
    assert joined.fit < find_weights([own], [by_objects])[0].fit / 2
    # An assessor that sees no damage of objects does not know them; then both say how many are wrong, as without the second.
    unknown = at_pixels(odds(rng.random(60_000) < 0.2), by_objects[0][PLANES]), damaged
    both, joined = find_weights([own] * 2, [by_objects, unknown], [anywhere] * 2)
    assert joined.assessor < 0.1 and joined.fit > 0.5
    # That holds of both classes of error if it holds of one.
    for found in (both, joined):
        assert expit(found(own)).mean() == pytest.approx(found.expected_errors(own), rel=0.02)


def test_an_assessor_that_expects_errors_everywhere_is_held_back():
    rng = np.random.default_rng(0)
    everywhere, few = rng.normal(4, 1, 5000).astype(np.float32), rng.normal(-5, 1, 5000).astype(np.float32)
    assert weights_of(0.8, 0.6).expected_errors(at_pixels(everywhere, few)) == pytest.approx(2 * expit(few).mean(), rel=0.01)
