"""The presets of debug=."""

import re

import pytest

from tests.cli.scripts import QUICK, error_of, run_fresh


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["fast", "overfit", "profile"])
def test_presets_run(preset, tiny_folder, tmp_path):
    quick = [each for each in QUICK if "max_epochs" not in each]
    run = tmp_path / "run"
    common = ["dataset=folder", f"dataset.root={tiny_folder}", "baselines=[always_right]", f"hydra.run.dir={run}"]
    epochs = ["trainer.max_epochs=2"] if preset == "overfit" else []
    result = run_fresh("train", f"debug={preset}", *common, *quick, *epochs)
    assert "FP/FN mIoU on test" in result.stdout
    if preset == "profile":
        rows = {stage: (run / f"{stage}-profile.txt").read_text() for stage in ("fit", "test")}
        assert re.search(r"run_training_batch\s*\|", rows["fit"]) and "test_step" in rows["test"]


@pytest.mark.slow
def test_traceback_shows_where_an_error_comes_from(tmp_path):
    arguments = ["dataset=folder", f"dataset.root={tmp_path}/nothing", f"hydra.run.dir={tmp_path}/run"]
    assert "No images found" in error_of(run_fresh("train", *arguments, code=2))
    assert "Traceback" in run_fresh("train", *arguments, "debug=traceback", code=1).stderr
