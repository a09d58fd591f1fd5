"""P(error) corrected by the answers to a sample."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from segassess.cli import calibrate as calibrate_tool
from segassess.cli import sample as sample_tool
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.sampled_accuracy.design import Stratum, allocate
from segassess.evaluation.sampled_accuracy.recalibration import (
    SeenPixels,
    brier_gain,
    corrected,
    cross_validated,
    fit_correction,
    scores,
)
from segassess.models.calibration import Calibration
from segassess.models.recalibration import Recalibration
from tests.evaluation.conftest import JUDGE, answered

# What the judge says is this far from what is true: scale and shift of log-odds, inside and outside.
DISTORTION = Calibration(fp=(0.6, -1.0), fn=(1.3, -0.8))


def layer(rng: np.random.Generator, pixels: int = 60_000, distortion: Calibration = DISTORTION) -> SeenPixels:
    """All pixels of a layer whose P(error) is distorted; in each side three strata by it."""
    inside = rng.random(pixels) < 0.4
    error = np.rint(rng.beta(0.5, 2.0, pixels) * 250) / 250
    wrong = rng.random(pixels) < corrected(distortion, error, inside)
    stratum = 3 * inside + np.searchsorted((0.1, 0.5), error)
    return SeenPixels(error, wrong, inside, stratum, np.bincount(stratum, minlength=6))


def drawn(whole: SeenPixels, looks: int, rng: np.random.Generator) -> SeenPixels:
    """A sample of a layer, as `segassess sample` draws it."""
    errors = np.bincount(whole.stratum, whole.error)
    strata = [Stratum(str(index), index >= 3, int(whole.sizes[index]), float(errors[index])) for index in range(6)]
    places = [np.flatnonzero(whole.stratum == index) for index in range(6)]
    chosen = [rng.choice(place, count, replace=False) for place, count in zip(places, allocate(strata, looks), strict=True)]
    order = rng.permutation(np.concatenate(chosen))
    return SeenPixels(*(each[order] for each in (whole.error, whole.wrong, whole.inside, whole.stratum)), whole.sizes)


def test_a_census_finds_the_distortion():
    found = fit_correction(layer(np.random.default_rng(0), 400_000))
    assert (*found.fp, *found.fn) == pytest.approx((*DISTORTION.fp, *DISTORTION.fn), abs=0.05)


def test_two_hundred_looks_bring_all_pixels_nearer_to_the_truth():
    rng = np.random.default_rng(1)
    whole = layer(rng)
    before = scores(whole, whole.error)
    after = []
    for _ in range(20):
        correction = fit_correction(drawn(whole, 200, rng))
        after.append(scores(whole, corrected(correction, whole.error, whole.inside)))
    assert np.mean([each["brier"] for each in after]) < before["brier"]
    assert np.mean([each["ece"] for each in after]) < before["ece"] / 2
    assert np.mean([each["predicted"] for each in after]) == pytest.approx(before["wrong"], abs=0.02)
    assert abs(before["predicted"] - before["wrong"]) > 0.04


def test_cross_validation_says_what_other_pixels_will_gain():
    rng = np.random.default_rng(2)
    whole = layer(rng)
    claimed, true, covered = [], [], 0
    for _ in range(40):
        seen = drawn(whole, 300, rng)
        gain = brier_gain(seen, cross_validated(seen))
        better = scores(whole, corrected(fit_correction(seen), whole.error, whole.inside))
        true.append(scores(whole, whole.error)["brier"] - better["brier"])
        claimed.append(gain.value)
        covered += abs(gain.value - true[-1]) < 2 * gain.standard_error
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.003)
    assert covered >= 34


def test_what_is_right_already_gains_nothing():
    rng = np.random.default_rng(4)
    whole = layer(rng, distortion=Calibration())
    gains = [brier_gain(seen, cross_validated(seen)) for seen in (drawn(whole, 200, rng) for _ in range(40))]
    assert sum(gain.value <= gain.standard_error for gain in gains) >= 34


def test_no_look_speaks_for_itself_in_cross_validation():
    seen = drawn(layer(np.random.default_rng(3)), 100, np.random.default_rng(3))
    for each in (0, 7, 50):
        wrong = seen.wrong.copy()
        wrong[each] = not wrong[each]
        flipped = replace(seen, wrong=wrong)
        assert cross_validated(flipped)[each] == cross_validated(seen)[each]
        assert fit_correction(flipped) != fit_correction(seen)


def test_few_looks_change_little_and_order_stays():
    # Nothing wrong was seen, everything was, and P(error) was the wrong way round.
    error = np.tile(np.linspace(0, 1, 10), 2)
    inside = np.arange(20) < 10
    stratum = inside.astype(int)
    every = np.array([1000, 1000])
    for wrong in (np.zeros(20, bool), np.ones(20, bool), error < 0.5):
        found = fit_correction(SeenPixels(error, wrong, inside, stratum, every))
        steps = np.linspace(0, 1, 251)
        for side in (True, False):
            mapped = corrected(found, steps, np.full(251, side))
            assert (np.diff(mapped) >= 0).all() and 0 < mapped.min() and mapped.max() < 1
    nothing = SeenPixels(error[:10], np.zeros(10, bool), inside[:10], stratum[:10], every)
    assert fit_correction(nothing).fn == (1.0, 0.0)


def test_a_look_counts_for_the_pixels_it_stands_for():
    # Of two strata of equal P(error) the smaller one is all wrong: by looks a half, by pixels a hundredth.
    error, wrong = np.full(200, 0.3), np.arange(200) < 100
    seen = SeenPixels(error, wrong, np.ones(200, bool), (~wrong).astype(int), np.array([1000, 99_000]))
    assert scores(seen, error)["wrong"] == pytest.approx(0.01)
    assert corrected(fit_correction(seen), error, seen.inside)[0] == pytest.approx(0.01, abs=0.01)


def test_one_calibration_after_another():
    first, later = Calibration((0.5, 1.0), (2.0, -1.0), (0.3, 0.4)), Calibration((3.0, 0.2), (0.7, 0.1))
    planes = np.random.default_rng(0).dirichlet([1, 1, 1, 1], (6, 7)).transpose(2, 0, 1).astype(np.float32)
    both = first.then(later)
    np.testing.assert_allclose(both.of_array(planes), later.of_array(first.of_array(planes)), atol=1e-6)
    np.testing.assert_array_equal(both.decide(planes), first.decide(planes))
    error = np.array([0.1, 0.9])
    np.testing.assert_allclose(corrected(later, error, np.array([True, False])), expit([3, 0.7] * logit(error) + [0.2, 0.1]))


def test_from_answers_to_a_file(judged, capsys, monkeypatch):
    folder, truths = judged
    monkeypatch.setenv("COLUMNS", "160")
    sample_tool.main([f"input={folder}", "looks=250"])
    sample = folder / "sample"
    with pytest.raises(RequestError, match="0 of 250 points"):
        calibrate_tool.main([f"sample={sample}"])
    answered(sample / "sample.csv", truths)
    calibrate_tool.main([f"sample={sample}"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "cross-validated" in printed and "Brier score gains" in printed
    content = json.loads((sample / "calibration.json").read_text())
    # P(error) of the fixture is low for what is right and high for what is wrong, without being a probability.
    assert content["looks"] == 250 and content["after"]["brier"] < content["before"]["brier"]
    found = Recalibration.read(sample / "calibration.json")
    assert (found.checkpoint, found.fitted) == (JUDGE["checkpoint_digest"], False)
    assert found.require(sample, JUDGE["checkpoint_digest"], False).fp == tuple(content["fp"])
    # What was judged with a calibration gets one that does both.
    record = json.loads((sample / "sample.json").read_text())
    record["judge"]["recalibration"] = {"fp": [2.0, 1.0], "fn": [1.0, -1.0], "cuts": [0, 0]}
    (sample / "sample.json").write_text(json.dumps(record))
    calibrate_tool.main([f"sample={sample}", f"output={folder / 'second'}"])
    second = Recalibration.read(folder / "second" / "calibration.json").correction
    assert second == Calibration((2.0, 1.0), (1.0, -1.0)).then(found.correction)


def test_wrong_requests_are_one_sentence(judged, tmp_path):
    folder, truths = judged
    sample_tool.main([f"input={folder}", "looks=60"])
    sample = folder / "sample"
    answered(sample / "sample.csv", truths)
    with pytest.raises(ConfigError, match="sample is missing"):
        calibrate_tool.main([])
    rows = list(csv.DictReader((sample / "sample.csv").open()))
    (tmp_path / "few.csv").write_text("id,answer\n" + "\n".join(f"{row['id']},unsure" for row in rows))
    with pytest.raises(RequestError, match="0 of 60 points have an answer"):
        calibrate_tool.main([f"sample={sample}", f"answers={tmp_path / 'few.csv'}"])
    record = json.loads((sample / "sample.json").read_text())
    for judge, words in (({**record["judge"], "decoding": "free"}, "decoding=consistent"), (None, "draw the sample again")):
        (sample / "sample.json").write_text(json.dumps({**record, "judge": judge}))
        with pytest.raises(RequestError, match=words):
            calibrate_tool.main([f"sample={sample}"])


WRONG = '{"fp": [1, 0], "fn": [0, 0]}', '{"fp": "<b>", "fn": [1, 0]}', '{"fp": [1, 0], "fn": [1, 0]}'


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", *WRONG])
def test_a_file_that_is_no_calibration_is_refused(tmp_path, content):
    path = tmp_path / "\u202e =1+1 \U0001f3e0.json"
    with pytest.raises(RequestError, match="does not exist"):
        Recalibration.read(path)
    path.write_text(content)
    with pytest.raises(RequestError, match="is no calibration"):
        Recalibration.read(path)


def test_a_calibration_is_for_one_assessor_and_one_way_to_judge(tmp_path):
    found = Recalibration(Calibration((2.0, 1.0)), "abc", True)
    assert found.require(tmp_path, "abc", True) == found.correction
    with pytest.raises(RequestError, match="made for the assessor abc, and this is def"):
        found.require(tmp_path, "def", True)
    with pytest.raises(RequestError, match="made with a fit to the layer, this is without one"):
        found.require(tmp_path, "abc", False)
