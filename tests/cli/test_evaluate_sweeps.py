"""Sweeps as a user runs them: each run on its own, failures noted, results joined."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.scripts import QUICK, error_of, run_script
from tests.conftest import ROOT

DATA_SETS = ("inria", "crowdai", "deepglobe", "gid", "baqs", "waqs")


def joined(folder):
    return list(csv.DictReader((folder / "joined.csv").open()))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_runs_of_a_sweep_do_not_mix_and_one_that_fails_stops_none(launcher, tiny_folder, tmp_path):
    """One training source per run; the data are found by way of SEGASSESS_ROOT, which joblib's processes must know."""
    arguments = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    result = run_script(
        "train",
        "experiment=transfer_sources",
        "dataset=folder",
        f"dataset.root=${{paths.root}}/{os.path.relpath(tiny_folder, ROOT)}",
        "sampling.sources=[gamma],[alpha],[beta]",
        "sampling.views=1",
        *QUICK,
        "trainer.check_val_every_n_epoch=1",
        "baselines=[always_right]",
        f"hydra.sweep.dir={tmp_path}",
        *arguments,
        code=1,
    )
    error = error_of(result)
    assert error.startswith("Error: 1 of 3 runs failed: ") and "gamma" in error
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["0", "1", "2"]
    assert "gamma" in json.loads((tmp_path / "0" / "failed.json").read_text())["reason"]
    assert not (tmp_path / "0" / "metrics.json").exists()
    for run, source in (("1", "alpha"), ("2", "beta")):
        files = {path.name for path in (tmp_path / run).iterdir()}
        assert {"metrics.json", "tiles.csv", "assessor.safetensors", "checkpoints", "training"} <= files
        about = json.loads((tmp_path / run / "metrics.json").read_text())["about"]
        assert about["training"]["sources"] == [source] and source not in about["unseen"]
    rows = [row for row in joined(tmp_path) if row["method"] == "compact" and row["region"] == "all"]
    assert {(row["row"], row["source"]) for row in rows} == {
        (trained, tested) for trained in ("alpha", "beta") for tested in ("alpha", "beta", "ocrnet", "all")
    }
    for row in rows:
        own = json.loads((tmp_path / row["job"] / "metrics.json").read_text())["results"]["compact"][row["source"]]
        assert float(row["iou_mae"]) == own["iou_mae"]
    assert (tmp_path / "joined.png").is_file() and "No result of gamma" in result.stdout
    if launcher == "basic":
        again = [sys.executable, "-m", "segassess", "join", str(tmp_path)]
        before = (tmp_path / "joined.md").read_bytes()
        (tmp_path / "joined.md").unlink()
        assert subprocess.run(again, check=False, cwd=ROOT, capture_output=True).returncode == 0
        assert (tmp_path / "joined.md").read_bytes() == before


def test_the_matrix_lists_what_is_not_there(tiny_folder, checkpoint, tmp_path):
    """One of six data sets, with masks of two of five segmenters."""
    test = tmp_path / "data" / "inria" / "test"
    (test / "seg_preds").mkdir(parents=True)
    for name in ("image", "binary_map"):
        (test / name).symlink_to(tiny_folder / "test" / name)
    for name, source in (("hrnet", "alpha"), ("ocrnet", "ocrnet")):
        (test / "seg_preds" / name).symlink_to(tiny_folder / "test" / "seg_preds" / source)
    folder = tmp_path / "out" / "matrix"
    assessor = folder / "train" / "inria" / "assessor.safetensors"
    assessor.parent.mkdir(parents=True)
    shutil.copy(checkpoint, assessor)
    result = run_script(
        "evaluate",
        "experiment=matrix",
        "on_missing=list",
        "baselines=[always_right]",
        "trainer.enable_progress_bar=false",
        f"paths.data_dir={tmp_path}/data",
        f"paths.output_root={tmp_path}/out",
    )
    folder = folder / "evaluate"
    assert {path.parent.name for path in folder.glob("*/missing.json")} == set(DATA_SETS) - {"inria"}
    assert (folder / "inria" / "metrics.json").is_file()
    rows = [row for row in joined(folder) if row["region"] == "all" and row["source"] != "all" and row["baseline"] != "True"]
    assert len(rows) == 32 and sum(bool(row["missing"]) for row in rows) == 30
    assert "No result of gid: No images found" in result.stdout
    assert {row["source"] for row in rows if row["row"] == "waqs" and row["zero_shot"] == "True"} >= {"ocrnet", "raw"}
    tiles = list(csv.DictReader((folder / "inria" / "tiles.csv").open()))
    assert {row["region"] for row in tiles} == {"inria"} and not any("confusion" in name for name in tiles[0])


@pytest.mark.slow
def test_a_sweep_of_wrong_requests_is_one_sentence_and_exit_code_2(tmp_path):
    folders = f"paths.data_dir={tmp_path}", f"paths.output_root={tmp_path}"
    result = run_script("evaluate", "experiment=matrix", "dataset=inria", "hydra/launcher=joblib", *folders, code=2)
    assert error_of(result).startswith("Error: 1 of 1 runs failed: ")
    assert "No result of gid: not run." in (tmp_path / "matrix" / "evaluate" / "joined.md").read_text()
