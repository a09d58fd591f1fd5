"""Samples of objects and of blocks: figures by count, and that their intervals hold."""

import csv
import json
import math

import numpy as np
import pyogrio
import pytest
import shapely

from segassess.cli import calibrate as calibrate_tool
from segassess.cli import estimate as estimate_tool
from segassess.cli import reviewer as reviewer_tool
from segassess.cli import sample as sample_tool
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.sampled_accuracy.clusters import FIGURES, SeenBlocks, estimate_blocks, estimate_true_objects
from segassess.evaluation.sampled_accuracy.design import Stratum, allocate, allocate_counts
from segassess.evaluation.sampled_accuracy.estimates import Looks, estimate
from segassess.evaluation.sampled_accuracy.objects import block_population, levels, listed_objects, object_population
from segassess.evaluation.sampled_accuracy.sample_files import read_answers, read_counts
from segassess.findings.object_scores import MISSED
from segassess.outputs.judged_folder import of_one_source
from tests.cli.conftest import checkpoint  # noqa: F401  # a fixture
from tests.outputs.review_queue.conftest import predicted  # noqa: F401  # a fixture

SOURCE = "perturbed"


def test_one_stratum_is_the_textbook_ratio_estimator():
    # Cochran, equation 6.13: (1 - f) / (n mean(x)^2) times the sum of (y - R x)^2 over n - 1, but for the looks that are added.
    rng = np.random.default_rng(0)
    objects = rng.poisson(8, 5000)
    wrong, missed = rng.binomial(objects, 0.2), rng.poisson(1.5, 5000)
    strata, seen = [Stratum("all", True, 20_000, 40_000.0)], [SeenBlocks(objects, wrong, missed)]
    found = estimate_blocks("recall", strata, seen)
    y, x = objects - wrong, objects - wrong + missed
    ratio = y.sum() / x.sum()
    error = math.sqrt((1 - 0.25) / 5000 * ((y - ratio * x) ** 2).sum() / 4999) / x.mean()
    assert (found.value, found.standard_error) == pytest.approx((ratio, error), rel=1e-3)
    assert found.low < found.value < found.high
    true = estimate_true_objects(strata, seen, int(4 * objects.sum()))
    assert true.value == pytest.approx(4 * x.sum()) and true.low < true.value < true.high


def test_a_census_of_blocks_has_no_interval():
    strata = [Stratum("a", True, 3, 1.0), Stratum("b", True, 2, 9.0), Stratum("none", True, 0, 0.0)]
    blocks = [np.array([[4, 1, 0], [0, 0, 0], [6, 2, 3]]), np.array([[10, 5, 2], [0, 0, 1]]), np.zeros((0, 3), int)]
    seen = [SeenBlocks(*each.T) for each in blocks]
    for figure, value in {"precision": 12 / 20, "recall": 12 / 18, "f1": 24 / 38}.items():
        found = estimate_blocks(figure, strata, seen)
        assert (found.value, found.low, found.high, found.more) == pytest.approx((value, value, value, 0))
    assert estimate_true_objects(strata, seen, 20).value == pytest.approx(18)
    empty = [SeenBlocks(*np.zeros((3, 2), int))]
    assert math.isnan(estimate_blocks("precision", strata[:1], empty).value)
    with pytest.raises(ValueError, match="look"):
        estimate_blocks("precision", strata, [seen[0], seen[2], seen[2]])


def simulated_blocks(rng: np.random.Generator):
    """Objects, wrong and missed ones of each block of a town, and how many errors are expected, several times off."""
    count = int(rng.integers(120, 3000))
    density = rng.gamma(1.0, rng.uniform(3, 12), count)
    objects, share = rng.poisson(density), rng.beta(1.2, 8, count)
    wrong, missed = rng.binomial(objects, share), rng.poisson(density * rng.beta(1, 9, count))
    said = objects * share * np.exp(rng.normal(0, 0.7, count)) + missed * rng.uniform(0.3, 1, count) + rng.gamma(0.3, 1, count)
    return objects, wrong, missed, said


def test_intervals_of_blocks_cover_the_truth_as_often_as_they_say():
    rng, layers = np.random.default_rng(5), 2000
    covered = dict.fromkeys((*FIGURES, "objects"), 0)
    for _ in range(layers):
        objects, wrong, missed, said = simulated_blocks(rng)
        of = levels(said)
        strata = [Stratum(str(at), True, int((of == at).sum()), float(said[of == at].sum())) for at in range(4)]
        given = allocate_counts(strata, 60).tolist()
        chosen = [rng.choice(np.flatnonzero(of == at), number, replace=False) for at, number in enumerate(given)]
        seen = [SeenBlocks(objects[at], wrong[at], missed[at]) for at in chosen]
        right, lacking = (objects - wrong).sum(), missed.sum()
        true = {"precision": right / objects.sum(), "recall": right / (right + lacking)}
        true["f1"] = 2 * right / (objects.sum() + right + lacking)
        for figure, value in true.items():
            found = estimate_blocks(figure, strata, seen)
            covered[figure] += found.low <= value <= found.high
        found = estimate_true_objects(strata, seen, int(objects.sum()))
        covered["objects"] += found.low <= right + lacking <= found.high
    assert all(0.93 <= count / layers <= 0.97 for count in covered.values()), covered


def test_intervals_of_objects_cover_the_truth_as_often_as_they_say():
    """Few units in each stratum, so that what is finite shows: strata of objects, whose P(error) is up to four times off."""
    rng, layers = np.random.default_rng(7), 2000
    covered = dict.fromkeys(FIGURES, 0)
    kinds = ((True, 0.05), (True, 0.15), (True, 0.3), (True, 0.3), (True, 0.7), (False, 0.75), (False, 0.45))
    for _ in range(layers):
        count, strata, wrong = int(rng.integers(300, 20_000)), [], []
        for share, (inside, error) in zip(rng.dirichlet([30, 8, 5, 4, 2, 3, 5]), kinds, strict=True):
            size = int(share * count)
            strata.append(Stratum("", inside, size, size * error))
            wrong.append(int(rng.binomial(size, min(error * float(np.exp(rng.normal(0, 0.7))), 0.98))))
        seen = [
            Looks(
                np.arange(number) < (int(rng.hypergeometric(bad, stratum.size - bad, number)) if number else 0),
                np.full(int(number), stratum.mean_error),
            )
            for stratum, bad, number in zip(strata, wrong, allocate(strata, 200), strict=True)
        ]
        inside, sizes, bad = np.array([each[0] for each in kinds]), np.array([each.size for each in strata]), np.array(wrong)
        right, missed, objects = (sizes - bad)[inside].sum(), bad[~inside].sum(), sizes[inside].sum()
        true = {"precision": right / objects, "recall": right / (right + missed), "f1": 2 * right / (objects + right + missed)}
        for figure, value in true.items():
            found = estimate(figure, strata, seen)
            covered[figure] += found.low <= value <= found.high
    assert all(0.93 <= count / layers <= 0.97 for count in covered.values()), covered


def test_every_object_is_one_unit_and_lies_in_one_block(predicted):  # noqa: F811
    masks = of_one_source(predicted, SOURCE)
    listed = listed_objects(masks)
    alone, blocks = object_population(masks), block_population(masks, 64)
    assert sum(stratum.size for stratum in alone.strata) == len(listed) == len(alone.stratum)
    kept = [each.id for each in listed if each.kind != MISSED]
    assert sorted(each.id for block in blocks.units for each in block.objects) == sorted(kept)
    assert alone.objects == blocks.objects == len(kept) == 5
    assert [stratum.inside for stratum in alone.strata] == [not stratum.name.startswith(MISSED) for stratum in alone.strata]
    # 150 x 230 pixels; those at the edges are smaller.
    assert len(blocks.units) == 12 and {block.box[2] for block in blocks.units} == {64, 128, 192, 230}
    assert sum(block.expected for block in blocks.units) == pytest.approx(sum(each.p_error for each in listed))


@pytest.fixture
def truth(predicted, tmp_path):  # noqa: F811
    """A layer that has half of the judged objects, and three that nobody has listed."""
    kept = [each.outline for each in listed_objects(of_one_source(predicted, SOURCE)) if each.kind != MISSED][::2]
    lon, lat = shapely.get_coordinates(kept[0])[0]
    shapes = [*kept, *(shapely.box(lon + at, lat, lon + at + 5e-6, lat + 5e-6) for at in (1e-5, 2e-5, 3e-5))]
    path = tmp_path / "truth.gpkg"
    wkb = shapely.to_wkb(np.array(shapes, object))
    pyogrio.raw.write(path, wkb, [], [], geometry_type="Unknown", crs="EPSG:4326")
    return path


@pytest.mark.parametrize("units", ["objects", "blocks"])
def test_a_census_gives_what_the_truth_says(predicted, truth, units, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("COLUMNS", "160")
    sample = tmp_path / "sample"
    sample_tool.main([f"input={predicted}", f"source={SOURCE}", f"units={units}", "block=64", "looks=10000", f"output={sample}"])
    page, rows = (sample / "sample.html").read_text(), list(csv.DictReader((sample / "sample.csv").open()))
    assert f"{len(rows)} {units} of the mask of {SOURCE}, which are all there are: " in capsys.readouterr().out
    assert page.count("data:image/jpeg") == len(rows) and "@@" not in page and f'data-units="{units}"' in page
    # Nothing says how a unit was judged.
    for shown in ("sample.csv", "sample.html"):
        assert not {"stratum", "error", "invented", "missed,P"} & set((sample / shown).read_text().replace(",", " ").split())
    about = pyogrio.read_info(sample / "sample.gpkg")
    assert (about["features"], about["geometry_type"], about["crs"]) == (len(rows), "MultiPolygon", "EPSG:4326")
    with pytest.raises(RequestError, match=f"0 of {len(rows)} {units} have an answer"):
        estimate_tool.main([f"sample={sample}"])
    reviewer_tool.main([f"truth={truth}", f"input={predicted}", f"sample={sample}"])
    estimate_tool.main([f"sample={sample}"])
    figures = {row["figure"]: row for row in json.loads((sample / "estimate.json").read_text())["figures"]}
    listed = [each for each in listed_objects(of_one_source(predicted, SOURCE)) if each.kind != MISSED]
    right = len(listed[::2])
    assert figures["precision"]["value"] == pytest.approx(right / len(listed), abs=1e-9)
    if units == "blocks":
        lacking = 3
        assert figures["recall"]["value"] == pytest.approx(right / (right + lacking))
        assert figures["true_objects"]["value"] == pytest.approx(right + lacking)
    assert figures["precision"]["low"] == pytest.approx(figures["precision"]["high"])
    assert f"{len(rows)} of {len(rows)} {units} answered" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ConfigError, match=f"min_iou is of pixels, and .* is a sample of {units}"):
        estimate_tool.main([f"sample={sample}", "min_iou=0.5"])
    with pytest.raises(RequestError, match="draw one by units=pixels"):
        calibrate_tool.main([f"sample={sample}"])


def test_wrong_counts_are_one_sentence(predicted, tmp_path):  # noqa: F811
    sample, answers = tmp_path / "sample", tmp_path / "\u202e=1+1.csv"
    sample_tool.main([f"input={predicted}", f"source={SOURCE}", "units=blocks", "block=64", "looks=20", f"output={sample}"])
    first = next(csv.DictReader((sample / "sample.csv").open()))
    one, more = first["id"], int(first["objects"]) + 1
    for text, words in (
        ("id,answer\np0001,yes", "it needs id, wrong, missed"),
        ("id,wrong,missed\np9999,0,0", "no block 'p9999'"),
        (f"id,wrong,missed\n{one},{more},0", f"has {more - 1} objects"),
        (f"id,wrong,missed\n{one},=1,0", "write how many are wrong"),
        (f"id,wrong,missed\n{one},0,", "write how many are wrong"),
        (f"id,wrong,missed\n{one},0,0\n{one},0,1", "answered otherwise before"),
        (f"id,wrong,missed\n{one},0,0", "1 of 12 blocks have an answer"),
    ):
        answers.write_text(text)
        with pytest.raises(RequestError, match=words):
            estimate_tool.main([f"sample={sample}", f"answers={answers}"])
    with pytest.raises(ConfigError, match="pixels or objects or blocks"):
        sample_tool.main([f"input={predicted}", "units=towns"])


@pytest.mark.parametrize("units", ["pixels", "objects", "blocks"])
def test_answers_from_the_page(predicted, units, browser, tmp_path):  # noqa: F811
    sample = tmp_path / "sample"
    sample_tool.main([f"input={predicted}", f"source={SOURCE}", f"units={units}", "block=64", "looks=20", f"output={sample}"])
    rows = list(csv.DictReader((sample / "sample.csv").open()))
    context = browser.new_context(accept_downloads=True)
    view, problems = context.new_page(), []
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.goto((sample / "sample.html").as_uri())
    assert view.is_visible("figure svg") == (units == "pixels") and view.is_visible("#counts") == (units == "blocks")
    for row in rows[:3]:
        if units == "blocks":
            # More than there are is not taken.
            view.fill("#wrong", str(int(row["objects"]) + 1))
            view.fill("#missed", "2")
            view.press("#missed", "Enter")
            view.fill("#wrong", row["objects"])
            view.press("#wrong", "Enter")
        else:
            view.keyboard.press("1")
    assert view.text_content("#count") == f"3 of {len(rows)} answered"
    with view.expect_download() as download:
        view.click("#save")
    download.value.save_as(tmp_path / "answers.csv")
    context.close()
    assert problems == []
    paths, known = [tmp_path / "answers.csv"], {row["id"]: int(row.get("objects") or 0) for row in rows}
    if units == "blocks":
        assert read_counts(paths, known) == {row["id"]: (int(row["objects"]), 2) for row in rows[:3]}
    else:
        answers = read_answers(paths, known)
        assert [each for each, answer in answers.items() if answer] == [row["id"] for row in rows[:3]]
        assert set(answers.values()) == {True, None}
