"""Baselines that ask segmenters, evaluated with networks from files beside a data set."""

import re
import shutil
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console

from segassess.cli import build, build_training
from segassess.errors import CheckpointError
from segassess.evaluation.methods import Candidate
from segassess.evaluation.result_tables import comparison_table, region_table
from segassess.models.baselines import build_baseline
from segassess.models.segmenters.architectures import build_segmenter, resolved_spec
from segassess.models.segmenters.fitted import FULL, fold_file
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, load_segmenter, save_segmenter
from tests.cli.test_config import composed
from tests.conftest import ROOT

SPEC = resolved_spec({"name": "unetformer", "size": "small", "pretrained": False, "width": 24})


@pytest.fixture(scope="module")
def folder(tiny_folder, tmp_path_factory):
    """The tiny data set with the source alpha under the name of a segmenter, and that segmenter's (untrained) networks."""
    here = tmp_path_factory.mktemp("baselines")
    shutil.copytree(tiny_folder, here / "data")
    for split in ("train", "test"):
        (here / "data" / split / "seg_preds" / "alpha").rename(here / "data" / split / "seg_preds" / "unetformer")
    keys = [f"train/train_{number}" for number in range(8)]
    torch.manual_seed(0)
    for file, seen in ((FULL, keys), (fold_file(0), keys[:4]), (fold_file(1), keys[4:])):
        path = here / "segmenters" / "folder" / "unetformer" / file
        save_segmenter(path, build_segmenter(SPEC), SegmenterDescription(SPEC, 0.5, tuple(seen)))
    return here


@pytest.fixture
def evaluate(folder, monkeypatch):
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))

    def run(*baselines: str, split: str = "test"):
        places = ["dataset=folder", f"dataset.root={folder / 'data'}", f"paths.output_root={folder}"]
        config = composed("evaluate", *places, "trainer.enable_progress_bar=false")
        data = build_training.data(config, test_split=split)
        evaluator = build_training.evaluator(config, data)
        evaluation = evaluator.evaluate({"sure": Candidate(build_baseline("always_right"))}, baselines)
        assert data.test_sources == ["beta", "ocrnet", "unetformer"]
        return evaluation

    return run


def test_baselines_judge_what_they_can(evaluate, folder, caplog):
    evaluation = evaluate("boundary_prior", "disagreement_best", "disagreement_ensemble", "confidence", "sam_agreement")
    results = evaluation.results
    everything = {"beta", "ocrnet", "unetformer", "all"}
    assert {method: set(by_source) for method, by_source in results.items()} == {
        "sure": everything,
        "boundary_prior": everything,
        "disagreement_best": {"beta", "ocrnet"},
        "disagreement_ensemble": {"beta", "ocrnet"},
        "confidence": {"unetformer"},
    }
    assert "sam_agreement is left out: sam_agreement needs a checkpoint" in caplog.text
    assert {row["source"] for row in evaluation.rows["confidence"]} == {"unetformer"}
    # There is one segmenter to ask: what differs from its mask is an error.
    tiles = build.tileset(composed("evaluate", "dataset=folder", f"dataset.root={folder / 'data'}").dataset).tiles("test")
    network = load_segmenter(folder / "segmenters" / "folder" / "unetformer" / FULL).segmenter
    rows = [row for row in evaluation.rows["disagreement_best"] if row["source"] in ("beta", "ocrnet")]
    found = {(row["name"], row["source"], kind): row[f"{kind}_iou"] for row in rows for kind in ("fp", "fn")}
    expected = {}
    for tile in tiles:
        pixels = tile.read()
        drawn = network.probability(torch.from_numpy(pixels.image).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy() > 0.5
        for source in ("beta", "ocrnet"):
            mask = tile.read_mask(source)
            for kind, predicted, true in (
                ("fp", mask & ~drawn, mask & ~pixels.truth),
                ("fn", ~mask & drawn, ~mask & pixels.truth),
            ):
                either = (predicted | true).sum()
                expected[tile.name, source, kind] = (predicted & true).sum() / either if either else np.nan
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert any(0 < value < 1 for value in found.values())

    console = Console(width=160, file=StringIO())
    console.print(comparison_table(results, "Baselines", ["ocrnet"]))
    console.print(region_table(evaluation.regions, "Regions"))
    lines = console.file.getvalue().splitlines()
    confidence = [line for line in lines if "confidence" in line]
    shown = [any(character.isdigit() for character in line) for line in confidence]
    # Of beta, ocrnet (unseen), unetformer, all; and of the region.
    assert shown == [False, False, True, False, False]


def test_networks_do_not_judge_tiles_that_they_have_learned_from(evaluate, caplog):
    evaluation = evaluate("disagreement_ensemble", "entropy", split="train")
    assert list(evaluation.results) == ["sure"]
    for name in ("disagreement_ensemble", "entropy"):
        assert re.search(rf"{name} is left out: .*unetformer .*train/train_0", caplog.text)


def test_networks_are_only_loaded_for_baselines_that_ask(evaluate, folder):
    broken = folder / "segmenters" / "folder" / "beta" / FULL
    broken.parent.mkdir()
    broken.write_bytes(b"no network")
    try:
        assert list(evaluate("boundary_prior").results) == ["sure", "boundary_prior"]
        with pytest.raises(CheckpointError, match=f"beta/{FULL} cannot be read"):
            evaluate("boundary_prior", "confidence")
    finally:
        shutil.rmtree(broken.parent)
