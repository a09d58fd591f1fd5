"""The summary of a sweep, on folders that are made up here."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image

from segassess.errors import RequestError
from segassess.experiments.parallel_coordinates import make_axis
from segassess.experiments.summary import write_summary
from tests.experiments.test_sweeps import write_run


def sweep(folder):
    """Two runs that are done, of which one was evaluated, one that failed, one without an objective, and one that was killed."""
    endings = {
        "0": ("done", {"objective": 0.25, "seconds": 12.4}),
        "1": ("failed", {"reason": "No tile | no mask.", "wrong_request": True}),
        "2": ("done", {"objective": 0.5, "seconds": 30.0}),
        "3": ("done", {"objective": None, "seconds": 3.0}),
        "10": (None, None),
    }
    for name, (ending, content) in endings.items():
        overrides = ["experiment=quick", f"optimizer.factory.lr=0.1234567890{name}", f"sampling.sources=[{name}]"]
        values = {"alpha": 0.3} if name == "2" else None
        write_run(folder / name, overrides, values)
        if ending:
            (folder / name / f"{ending}.json").write_text(json.dumps(content))
        (folder / name / ".hydra" / "config.yaml").write_text("monitor: valid/fp_fn_miou\nheld_out: []\n")


def test_best_first_with_what_varied_and_what_became_of_it(tmp_path, capsys):
    sweep(tmp_path)
    (tmp_path / "2" / "metrics.json").write_text(
        (tmp_path / "2" / "metrics.json")
        .read_text()
        .replace('"fp_fn_miou": 0.5', '"error_f1": 0.7, "iou_mae": 0.1, "fp_fn_miou": 0.4')
    )
    write_summary(tmp_path)
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [row["run"] for row in rows] == ["2", "0", "1", "3", "10"]
    assert [row["status"] for row in rows] == ["done", "done", "failed", "done", "not finished"]
    assert "experiment" not in rows[0] and rows[0]["optimizer.factory.lr"] == "0.12345678902"
    assert float(rows[0]["valid/fp_fn_miou"]) == 0.5 and float(rows[0]["seconds"]) == 30
    assert float(rows[0]["test/error_f1"]) == 0.7 and rows[1]["test/error_f1"] == ""
    assert rows[2]["reason"] == "No tile | no mask." and rows[2]["valid/fp_fn_miou"] == ""
    lines = [line for line in (tmp_path / "summary.md").read_text().splitlines() if line.startswith("|")]
    assert lines[2] == "| 2 | 0.1235 | [2] | 0.500 | 0.400 | 0.700 | 0.100 | 30 | done |"
    assert lines[4] == "| 1 | 0.1235 | [1] | - | - | - | - | - | failed |"
    printed = capsys.readouterr().out
    assert "Best: run 2, valid/fp_fn_miou 0.500: optimizer.factory.lr=0.12345678902 sampling.sources=[2]" in printed
    assert "Failed: run 1: No tile | no mask." in printed
    picture = np.asarray(Image.open(tmp_path / "summary.png").convert("RGB")).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) > 20


def test_a_sweep_of_one_run_has_a_table_and_no_picture(tmp_path):
    write_run(tmp_path / "0", ["seed=1"], None)
    (tmp_path / "0" / "done.json").write_text('{"objective": 0.5, "seconds": 1.0}')
    write_summary(tmp_path)
    assert "| 0 | 1 | 0.500 |" in (tmp_path / "summary.md").read_text()
    assert not (tmp_path / "summary.png").exists()


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no runs"):
        write_summary(tmp_path)


def test_axes_are_linear_logarithmic_or_of_words():
    linear = make_axis(["0", "1", "0.5", ""])
    assert linear.places[:3] == [0.0, 1.0, 0.5] and math.isnan(linear.places[3]) and linear.labels == ["0", "0.5", "1"]
    assert np.allclose(make_axis(["1e-4", "1e-2", "1e-3"]).places, [0, 1, 0.5])
    words = make_axis(["[a,b]", "[c]", "[a,b]"])
    assert words.places == [0.0, 1.0, 0.0] and words.labels == ["[a,b]", "[c]"]
    assert make_axis(["3", "3"]).places == [0.5, 0.5]
