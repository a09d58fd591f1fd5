"""Samples, and figures with intervals from them."""

import json
import math

import numpy as np
import pytest

from segassess.cli import estimate as estimate_tool
from segassess.cli import sample as sample_tool
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.sampled_accuracy.design import LEAST_LOOKS, Stratum, allocate
from segassess.evaluation.sampled_accuracy.estimates import FIGURES, Looks, estimate
from segassess.evaluation.sampled_accuracy.points import count_strata, draw_points
from segassess.outputs.judged_folder import judged_folders
from segassess.quality import FP, TP
from tests.evaluation.conftest import SIDE, answered


def looks(count: int, wrong: int, error: float = 0.0) -> Looks:
    return Looks(np.arange(count) < wrong, np.full(count, error))


def test_the_example_of_olofsson_and_others():
    # Deforestation in the example of Olofsson et al. (2014), section 5, tables 8 to 10: shares 0.02, 0.015, 0.32 and 0.645 of
    # 10 million pixels; their margins are 1.96 standard errors.
    shares, seen = (0.02, 0.015, 0.32, 0.645), (looks(75, 9), looks(75, 0), looks(165, 1), looks(325, 2))
    strata = [Stratum(str(share), index == 0, int(share * 1e7), 0.0) for index, share in enumerate(shares)]
    for figure, value, margin in (("precision", 0.88, 0.07), ("recall", 0.75, 0.21), ("truth_share", 0.0235, 0.0068)):
        found = estimate(figure, strata, seen)
        assert found.value == pytest.approx(value, rel=0.01)
        assert 1.96 * found.standard_error == pytest.approx(margin, rel=0.1)
        assert found.low < value < found.high


def test_a_census_has_no_interval_and_the_true_figures():
    strata = [Stratum("in", True, 40, 8.0), Stratum("out", False, 60, 6.0)]
    seen = [looks(40, 10), looks(60, 15)]
    expected = {"iou": 30 / 55, "precision": 0.75, "recall": 30 / 45, "f1": 60 / 85, "error_share": 0.25, "truth_share": 0.45}
    assert set(expected) == set(FIGURES)
    for figure, value in expected.items():
        for powered in (False, True):
            found = estimate(figure, strata, seen, prediction_powered=powered)
            assert (found.value, found.low, found.high, found.more) == pytest.approx((value, value, value, 0))


def test_shares_stay_within_0_and_1_and_no_stratum_may_be_unseen():
    strata = [Stratum("in", True, 1000, 10.0), Stratum("out", False, 1000, 10.0), Stratum("none", False, 0, 0.0)]
    for wrong in (0, 20):
        for figure in FIGURES:
            found = estimate(figure, strata, [looks(20, wrong), looks(20, wrong), looks(0, 0)])
            if not math.isnan(found.value):
                assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high
    assert math.isnan(estimate("recall", strata, [looks(20, 20), looks(20, 0), looks(0, 0)]).value)
    with pytest.raises(ValueError, match="look"):
        estimate("iou", strata, [looks(20, 1), looks(0, 0), looks(0, 0)])


def test_more_looks_halve_the_interval():
    strata = [Stratum("in", True, 5000, 500.0), Stratum("out", False, 20_000, 400.0)]
    now = estimate("iou", strata, [looks(100, 10), looks(100, 2)])
    factor = 1 + now.more / 200
    later = estimate(
        "iou", strata, [looks(round(100 * factor), round(10 * factor)), looks(round(100 * factor), round(2 * factor))]
    )
    assert later.standard_error == pytest.approx(now.standard_error / 2, rel=0.06)
    # A finite population needs fewer than four times as many.
    assert now.more < 600


def test_looks_go_where_size_and_doubt_are():
    strata = [
        Stratum("sure", True, 100_000, 1000.0),
        Stratum("doubtful", True, 100_000, 50_000.0),
        Stratum("tiny", False, 3, 1.0),
        Stratum("none", False, 0, 0.0),
        Stratum("small", False, 50, 20.0),
    ]
    given = allocate(strata, 200)
    assert given.sum() == 200 and list(given[2:4]) == [3, 0] and given[4] >= LEAST_LOOKS
    assert given[1] > 3 * given[0] > 0
    assert allocate(strata, 1).sum() == LEAST_LOOKS * 3 + 3
    small = [Stratum("a", True, 7, 1.0), Stratum("b", False, 9, 1.0)]
    assert list(allocate(small, 100)) == [7, 9]


def simulated_layer(rng: np.random.Generator) -> tuple[list[Stratum], list[int]]:
    """Strata of a layer, and their wrong pixels, of which P(error) knows something: true shares are up to four times off."""
    pixels, inside = int(rng.integers(50_000, 5_000_000)), rng.uniform(0.05, 0.4)
    strata, wrong = [], []
    for within, shares in ((True, rng.dirichlet([20, 4, 2, 2, 1])), (False, rng.dirichlet([60, 4, 2, 1, 1]))):
        for share, error in zip(shares, (0.01, 0.1, 0.3, 0.4, 0.8), strict=True):
            size = int(share * pixels * (inside if within else 1 - inside))
            said = error if within else 0.6 * error
            strata.append(Stratum(f"{within} {error}", within, size, size * said))
            wrong.append(int(rng.binomial(size, min(said * float(np.exp(rng.normal(0, 0.7))), 0.98))))
    return strata, wrong


@pytest.mark.parametrize("powered", [False, True])
def test_intervals_cover_the_truth_as_often_as_they_say(powered):
    rng, covered, layers = np.random.default_rng(5), 0, 2000
    for _ in range(layers):
        strata, wrong = simulated_layer(rng)
        seen = [
            looks(int(number), int(rng.hypergeometric(bad, stratum.size - bad, number)) if number else 0, stratum.mean_error)
            for stratum, bad, number in zip(strata, wrong, allocate(strata, 200), strict=True)
        ]
        sizes, inside = np.array([stratum.size for stratum in strata]), np.array([stratum.inside for stratum in strata])
        bad = np.array(wrong)
        iou = (sizes - bad)[inside].sum() / (sizes[inside].sum() + bad[~inside].sum())
        found = estimate("iou", strata, seen, prediction_powered=powered)
        covered += found.low <= iou <= found.high
    assert 0.93 <= covered / layers <= 0.97


def test_predictions_within_strata_narrow_the_interval():
    rng = np.random.default_rng(0)
    widths = []
    for powered in (False, True):
        rng = np.random.default_rng(0)
        error = rng.beta(0.3, 0.7, 400)
        seen = [Looks(rng.random(400) < error, error), looks(100, 1, 0.01)]
        strata = [Stratum("in", True, 100_000, 30_000.0), Stratum("out", False, 100_000, 1000.0)]
        found = estimate("iou", strata, seen, prediction_powered=powered)
        widths.append(found.high - found.low)
    assert widths[1] < 0.85 * widths[0]


def test_points_are_drawn_from_their_strata_without_repetition(judged):
    folder, _ = judged
    masks = judged_folders(folder)
    strata, area = count_strata(masks)
    assert area is None and sum(stratum.size for stratum in strata) == 2 * SIDE * (SIDE - 3)
    given = allocate(strata, 300)
    points = draw_points(masks, strata, given, np.random.default_rng(3))
    assert len({(point.name, point.row, point.column) for point in points}) == len(points) == given.sum()
    assert np.bincount([point.stratum for point in points], minlength=len(strata)).tolist() == given.tolist()
    assert min(point.column for point in points) >= 3 and all(math.isnan(point.lon) for point in points)
    assert (points[0].x, points[0].y) == (points[0].column + 0.5, points[0].row + 0.5)
    again = draw_points(masks, strata, given, np.random.default_rng(3))
    assert [vars(point).items() - {("lon", math.nan)} for point in again[:3]] != [] and str(points) == str(again)
    assert {point.name for point in points} == {"a", "b"}


def test_from_judged_masks_to_a_figure(judged, capsys, monkeypatch):
    folder, truths = judged
    monkeypatch.setenv("COLUMNS", "160")
    sample_tool.main([f"input={folder}", "looks=250"])
    sample = folder / "sample"
    page = (sample / "sample.html").read_text()
    assert page.count("data:image/jpeg") == 250 and "@@" not in page
    # Reviewers see neither how a point was judged nor by what chance it was drawn.
    for shown in ("sample.csv", "sample.html"):
        assert not {"stratum", "P(error)", "drawn"} & set((sample / shown).read_text().replace(",", " ").split())
    answered(sample / "sample.csv", truths, skip=20)
    estimate_tool.main([f"sample={sample}"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "230 of 250 pixels answered" in printed and "user's accuracy" in printed
    figures = {row["figure"]: row for row in json.loads((sample / "estimate.json").read_text())["figures"]}
    masks = {name: np.isin(codes, (TP, FP)) for name, codes in _codes(folder).items()}
    both = sum((masks[name] & truths[name])[:, 3:].sum() for name in truths)
    either = sum((masks[name] | truths[name])[:, 3:].sum() for name in truths)
    assert figures["iou"]["low"] < both / either < figures["iou"]["high"]
    assert figures["iou"]["high"] - figures["iou"]["low"] < 0.2
    estimate_tool.main([f"sample={sample}", "method=prediction_powered", "min_iou=0.2"])
    assert "Accepted: the IoU is at least" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        estimate_tool.main([f"sample={sample}", "min_iou=0.99"])
    assert stopped.value.code == 1 and "Not accepted" in capsys.readouterr().out


def _codes(folder):
    import rasterio

    found = {}
    for name in ("a", "b"):
        with rasterio.open(folder / name / "quality.tif") as file:
            found[name] = file.read(1)
    return found


def test_wrong_requests_are_one_sentence_and_a_sample_is_never_overwritten(judged, tmp_path):
    folder, truths = judged
    with pytest.raises(RequestError, match="no run"):
        sample_tool.main([f"input={tmp_path}"])
    with pytest.raises(ConfigError, match="from 20 to 20,000"):
        sample_tool.main([f"input={folder}", "looks=3"])
    with pytest.raises(RequestError, match="source=NAME"):
        sample_tool.main([f"input={folder}", "source=other"])
    sample_tool.main([f"input={folder}", "looks=60"])
    with pytest.raises(RequestError, match="would be lost"):
        sample_tool.main([f"input={folder}", "looks=60"])
    sample = folder / "sample"
    with pytest.raises(RequestError, match="0 of 60 pixels"):
        estimate_tool.main([f"sample={sample}"])
    answered(sample / "sample.csv", truths)
    for text, words in (("p9999,object", "no point"), ("p0001,maybe", "'maybe' is not an answer")):
        (tmp_path / "other.csv").write_text(f"id,answer\n{text}\n")
        with pytest.raises(RequestError, match=words):
            estimate_tool.main([f"sample={sample}", f"answers={tmp_path / 'other.csv'}"])
    (tmp_path / "yes.csv").write_text("id,answer\np0001,yes\np0001,no\n")
    with pytest.raises(RequestError, match="otherwise"):
        estimate_tool.main([f"sample={sample}", f"answers={tmp_path / 'yes.csv'}"])
    with pytest.raises(RequestError, match=r"sample\.json does not exist"):
        estimate_tool.main([f"sample={tmp_path}"])
    (tmp_path / "sample.json").write_text("{}")
    with pytest.raises(RequestError, match="not the record"):
        estimate_tool.main([f"sample={tmp_path}"])
    with pytest.raises(RequestError, match=r"nope\.csv does not exist"):
        estimate_tool.main([f"sample={sample}", f"answers={tmp_path / 'nope.csv'}"])
