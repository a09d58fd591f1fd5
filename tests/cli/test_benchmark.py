"""`evaluate.py` with a benchmark of one's own on a tiny data set."""

import csv
from dataclasses import replace

import pytest

from segassess.data.datamodule import AssessmentData
from segassess.data.tiles import FolderTiles
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.benchmark import Training, refuse_leaks, train_all
from segassess.evaluation.benchmark_tables import Part
from segassess.models.assessor.trained_assessor import load_assessor
from tests.cli.scripts import error_of, run_script

OWN = """\
# @package _global_
defaults:
  - override /dataset: folder
baselines: [always_right, boundary_prior]
benchmark:
  folder: {folder}
  seeds: [1, 2]
  sources: [alpha, beta]
  training: ['sampling.sources=[alpha,beta]', sampling.crop=64, sampling.images_per_batch=2, sampling.selection_share=0.25,
    encoder.pretrained=false, trainer.max_epochs=1]
  trained:
    compact: [assessor.depth=1]
  stored: {{first: "{folder}/compact/seed1/assessor.safetensors"}}
  jobs: 2
  main: compact
  panels: 1
  parts:
    unseen source: {{split: valid, source: ocrnet, unseen: true}}
    unseen tiles: {{split: test, source: [alpha, beta], unseen: false}}
"""


@pytest.fixture(scope="module")
def command(tiny_folder, tmp_path_factory) -> list[str]:
    here = tmp_path_factory.mktemp("benchmark")
    (here / "experiment").mkdir()
    (here / "experiment" / "own.yaml").write_text(OWN.format(folder=here / "trainings"))
    run = f"hydra.run.dir={here / 'run'}"
    return [f"--config-dir={here}", "experiment=own", f"dataset.root={tiny_folder}", "trainer.enable_progress_bar=false", run]


@pytest.fixture(scope="module")
def folders(command):
    """The folders of the trainings and of the benchmark."""
    run_script("evaluate", *command)
    here = command[0].removeprefix("--config-dir=")
    root = FolderTiles(here).root
    return root / "trainings", root / "run"


@pytest.mark.slow
def test_every_method_is_reported_on_every_part(folders):
    trainings, run = folders
    assert len(list(trainings.glob("*/seed*/assessor.safetensors"))) == 2
    rows = list(csv.DictReader((run / "benchmark.csv").open()))
    methods = ["compact", "first", "always_right", "boundary_prior"]
    assert [(row["part"], row["method"]) for row in rows] == [
        (part, method) for part in ("unseen source", "unseen tiles") for method in methods
    ]
    trained, stored, fixed = rows[:3]
    assert trained["runs"] == "2" and float(trained["fp_fn_miou_std"]) >= 0
    assert stored["runs"] == "1" and float(stored["fp_fn_miou"]) >= 0
    assert all((path.parent / "training.log").is_file() for path in trainings.glob("*/seed*/assessor.safetensors"))
    assert fixed["runs"] == "1" and fixed["fp_fn_miou_std"] == "" and float(fixed["fp_fn_miou"]) == 0
    table = (run / "benchmark.md").read_text()
    assert "±" in table and table.count("| always_right |") == 2
    assert {path.name.partition("_")[0] for path in (run / "panels").glob("*.png")} == {"worst", "typical"}
    assert all((run / f"{name}.png").is_file() for name in ("review", "reliability", "risk_coverage"))


@pytest.mark.slow
def test_the_same_command_again_trains_nothing_and_other_settings_are_refused(command, folders):
    before = {path: path.stat().st_mtime_ns for path in folders[0].rglob("*.safetensors")}
    again = run_script("evaluate", *command)
    assert again.stdout.count("complete from an earlier run") == 2
    assert {path: path.stat().st_mtime_ns for path in folders[0].rglob("*.safetensors")} == before
    refused = run_script("evaluate", *command, "benchmark.training=['trainer.max_epochs=2']", code=2)
    assert "holds a training with other settings" in error_of(refused)


@pytest.mark.slow
def test_stored_assessors_can_be_compared_without_any_training(command, folders, tmp_path):
    options = ["benchmark.trained.compact=null", "benchmark.main=first", f"hydra.run.dir={tmp_path}"]
    run_script("evaluate", *command, *options)
    with (tmp_path / "benchmark.csv").open(newline="") as lines:
        assert {row["method"] for row in csv.DictReader(lines)} == {"first", "always_right", "boundary_prior"}
    assert len(list((tmp_path / "panels").iterdir())) == 2
    error_of(run_script("evaluate", *command, options[0], code=2))


@pytest.mark.slow
def test_the_records_prove_that_nothing_reported_took_part_in_training(folders, tiny_folder):
    data = AssessmentData(FolderTiles(tiny_folder), test_split=["valid", "test"])
    for file in sorted(folders[0].rglob("assessor.safetensors")):
        loaded = load_assessor(file)
        record = loaded.description.training
        trained, selected = set(record["trained_on"]), set(record["selected_on"])
        assert len(trained) == 6 and len(selected) == 2 and not trained & selected
        assert not (trained | selected) & {tile.key for tile in data.test_tiles()}
        assert set(record["sources"]) | set(record["calibration_sources"]) == {"alpha", "beta"}
        refuse_leaks(loaded, data, [Part("all", ("valid", "test"), ("ocrnet",), True)])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_training_that_fails_is_named_and_no_further_one_begins(tmp_path, jobs, capfd):
    trainings = [Training("compact", seed, ("datset=folder",), tmp_path / str(seed)) for seed in range(6)]
    with pytest.raises(
        RequestError, match=r"The training of compact with seed 0 ended with exit code 2; see (above|.*training.log)"
    ):
        train_all(trainings, jobs)
    said = capfd.readouterr().err if jobs == 1 else (tmp_path / "0" / "training.log").read_text()
    assert "datset" in said
    assert not (tmp_path / "5").exists()
    with pytest.raises(ConfigError, match=r"benchmark\.jobs must be at least 1"):
        train_all(trainings, 0)


def test_what_has_been_seen_is_not_reported(tiny_folder, checkpoint):
    data = AssessmentData(FolderTiles(tiny_folder), test_split="test")
    loaded = load_assessor(checkpoint)
    unseen = Part("unseen source", ("test",), ("ocrnet",), True)

    def of(**record):
        record = {
            "sources": ["alpha"],
            "calibration_sources": ["beta"],
            "trained_on": ["train/train_0"],
            "selected_on": [],
        } | record
        return replace(loaded, description=replace(loaded.description, training=record))

    refuse_leaks(of(), data, [unseen])
    with pytest.raises(RequestError, match="test_1 took part in training"):
        refuse_leaks(of(selected_on=["test/test_1"]), data, [unseen])
    for record in ({"sources": ["alpha", "ocrnet"]}, {"calibration_sources": ["ocrnet"]}):
        with pytest.raises(RequestError, match="Masks of ocrnet took part"):
            refuse_leaks(of(**record), data, [unseen])
    with pytest.raises(RequestError, match=r"tiles .*train it again"):
        refuse_leaks(loaded, data, [unseen])


def test_the_metrics_of_a_part_are_means_over_runs_with_their_spread():
    from segassess.evaluation.benchmark_tables import cell

    assert cell(None) == "-" and cell((0.5, float("nan"))) == "0.500" and cell((0.5, 0.01)) == "0.500 ± 0.010"
