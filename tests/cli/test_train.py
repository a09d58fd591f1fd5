"""`train.py` and `evaluate.py` as a user runs them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from segassess.files import only_one
from segassess.models.assessor.checkpoint import read_tensors
from segassess.models.assessor.trained_assessor import load_assessor
from tests.cli.scripts import QUICK, error_of, run_fresh, run_script
from tests.conftest import ROOT


def losses(folder) -> list[tuple[int, float]]:
    with (folder / "training" / "metrics.csv").open() as file:
        return [(int(row["step"]), float(row["train/loss_step"])) for row in csv.DictReader(file) if row.get("train/loss_step")]


def test_training_leaves_a_checkpoint_metrics_and_a_table(trained, tiny_folder):
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    content = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    description = content["hyper_parameters"]["description"]
    assert description["training"]["sources"] == ["alpha", "beta"] and description["training"]["held_out"] == ["ocrnet", "raw"]
    assert str(tiny_folder) not in json.dumps(description)
    results = json.loads((trained / "metrics.json").read_text())["results"]
    assert set(results) == {"compact", "always_right", "boundary_prior"}
    assert set(results["compact"]) == {"alpha", "beta", "ocrnet", "all"}
    assert results["always_right"]["all"]["fp_fn_miou"] == 0
    tiles = list(csv.DictReader((trained / "tiles.csv").open()))
    assert len(tiles) == 3 * 3 * 3
    assert {row["name"] for row in tiles} == {"test_0", "test_1", "test_2"}


def test_checkpoints_of_both_kinds_hold_the_same_assessor(trained):
    own, lightning = (load_assessor(trained / name) for name in ("assessor.safetensors", "checkpoints/best.ckpt"))
    assert own.description.encoder == lightning.description.encoder
    for name, tensor in own.assessor.state_dict().items():
        assert torch.equal(tensor, lightning.assessor.state_dict()[name]), name


def test_evaluation_repeats_the_table_of_the_training(trained, tiny_folder, tmp_path):
    result = run_script(
        "evaluate",
        "dataset=folder",
        f"dataset.root={tiny_folder}",
        f"checkpoint={trained}/assessor.safetensors",
        "source=ocrnet",
        "protocol=reference",
        "trainer.enable_progress_bar=false",
        f"hydra.run.dir={tmp_path}",
    )
    assert "ocrnet (unseen)" in result.stdout and "boundary_prior" in result.stdout
    again = json.loads((tmp_path / "metrics.json").read_text())
    before = json.loads((trained / "metrics.json").read_text())["results"]
    for method in ("compact", "always_right", "boundary_prior"):
        for name, value in before[method]["ocrnet"].items():
            assert again["results"][method]["ocrnet"][name] == pytest.approx(value, abs=1e-6), (method, name)
    assert "reference_selection" in again["results"]["compact"]["ocrnet"]
    assert len(again["about"]["checkpoint_digest"]) == 16


def test_evaluation_without_a_train_split_leaves_out_what_must_learn(checkpoint, tiny_folder, tmp_path):
    (tmp_path / "test").symlink_to(tiny_folder / "test")
    result = run_script(
        "evaluate",
        "dataset=folder",
        f"dataset.root={tmp_path}",
        f"checkpoint={checkpoint}",
        "source=[alpha,ocrnet]",
        "trainer.enable_progress_bar=false",
        f"paths.output_root={tmp_path}/out",
    )
    assert "boundary_prior is left out" in result.stdout and "always_right" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["source=gamma"], "alpha"),
        (["split=nowhere"], "No images found"),
        (["decoding=loose"], "loose"),
        (["baselines=[oracle]"], "oracle"),
        (["protocol=theirs"], "protocol"),
        (["checkpoint=nothing.ckpt"], "does not exist"),
        (["assessor=segassess", "encoder=efficientnet_lite0"], "does not fit"),
    ],
)
def test_wrong_evaluations_are_refused(arguments, words, checkpoint, tiny_folder, tmp_path):
    data = "dataset=folder", f"dataset.root={tiny_folder}", f"checkpoint={checkpoint}", f"paths.output_root={tmp_path}"
    assert words in error_of(run_script("evaluate", *data, *arguments, code=2))


def test_a_checkpoint_names_no_folder_of_the_machine():
    from segassess.cli.train import _without_places

    node = {"root": "/data", "name": "a", "base": {"masks_root": "/data/masks", "made": ["perturbed"]}}
    assert _without_places(node) == {"name": "a", "base": {"made": ["perturbed"]}}


COMPACT = ("assessor.depth=1",)
TWIN = ("assessor=twin", "callbacks=averaged", "encoder.freeze_norm=true", "encoder.frozen_stages=2", "sampling.scale=0.5")


@pytest.mark.slow
@pytest.mark.parametrize("own", [COMPACT, TWIN], ids=["compact", "twin"])
def test_a_resumed_run_continues_exactly(own, tiny_folder, tmp_path):
    """Same losses in the second epoch, whether or not the run was stopped after the first."""
    data = "dataset=folder", f"dataset.root={tiny_folder}", "dataset.made=[perturbed]", "evaluate=false"
    augmented = "sampling.photometric=0.5", "sampling.geometric=0.5", "trainer.log_every_n_steps=1"
    common = (*data, *(each for each in QUICK if each not in COMPACT), *augmented, "trainer.max_epochs=3", *own)
    run_script("train", *common, f"hydra.run.dir={tmp_path}/whole")
    stopper = "+callbacks.stop={_target_: tests.cli.stopping.StopAfterEpoch, epoch: 1}"
    run_script("train", *common, stopper, f"hydra.run.dir={tmp_path}/first")
    run_script("train", *common, f"resume={tmp_path}/first", f"hydra.run.dir={tmp_path}/second")
    whole, first, second = (losses(tmp_path / name) for name in ("whole", "first", "second"))
    assert len(first) == 8 and len(second) == 4
    assert first + second == whole
    histories = [list(csv.DictReader((tmp_path / name / "tables" / "history.csv").open())) for name in ("whole", "second")]
    for column in ("epoch", "step", "train/loss", "valid/fp_fn_miou"):
        before, after = ([row[column] for row in history] for history in histories)
        assert len(after) == 3 and after == before, column
    # As after a calibration that was interrupted.
    again = tmp_path / "whole" / "assessor.safetensors"
    stored = again.read_bytes()
    again.unlink()
    run_script("train", *common, f"resume={tmp_path}/whole", f"hydra.run.dir={tmp_path}/whole")
    assert again.read_bytes() == stored


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", ["checkpoint={}/assessor.safetensors", "checkpoint=[{0}/assessor.safetensors,{0}/assessor.safetensors]", "resume={}"]
)
def test_weights_that_learned_from_a_held_out_source_are_no_start(start, trained, tiny_folder, tmp_path):
    data = "dataset=folder", f"dataset.root={tiny_folder}", *QUICK, "held_out=[beta]", f"hydra.run.dir={tmp_path}"
    error = error_of(run_script("train", *data, start.format(trained), code=2))
    assert "beta" in error and "held_out" in error


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("[{0},nothing.safetensors]", "nothing.safetensors does not exist"),
        ("{0}", "has assessor=twin, not compact; choose that"),
        ("{0} encoder.weights=full.safetensors", "encoder.weights=full.safetensors would not be used; give only one"),
    ],
)
def test_weights_to_start_from_are_looked_at_before_data(start, words, tmp_path):
    bundled = ROOT / "checkpoints" / "twin_lite0.safetensors"
    starts = f"checkpoint={start.format(bundled)}".split()
    given = *starts, f"paths.data_dir={tmp_path / 'data'}", f"hydra.run.dir={tmp_path}"
    composition = ("assessor=twin",) if "nothing" in start else ()
    assert words in error_of(run_script("train", *given, *composition, code=2))
    assert not (tmp_path / "data").exists()


def test_two_trainings_do_not_write_one_folder(tiny_folder, tmp_path):
    """As when a benchmark was killed but not its training, and is run again."""
    data = "dataset=folder", f"dataset.root={tiny_folder}", *QUICK, f"hydra.run.dir={tmp_path}"
    with only_one(tmp_path):
        error = error_of(run_script("train", *data, code=2))
    assert "is being written by another process" in error and "choose another hydra.run.dir" in error
    assert not (tmp_path / "training").exists()


def test_nothing_to_resume(tmp_path):
    error = error_of(run_script("train", "dataset.train=2", f"paths.data_dir={tmp_path}", f"resume={tmp_path}", code=2))
    assert "nothing to resume" in error


def test_ctrl_c_stops_with_a_hint(tiny_folder, tmp_path):
    endless = "trainer.max_epochs=1000", "callbacks.early_stopping=null"
    arguments = "dataset=folder", f"dataset.root={tiny_folder}", *QUICK, *endless, f"hydra.run.dir={tmp_path}"
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        # A shell that runs the tests in the background has switched Ctrl-C off, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 600
        while not (tmp_path / "checkpoints" / "last.ckpt").is_file():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "resume=" in output and "Traceback" not in output


def test_ctrl_c_that_gets_lost_in_the_moment_of_saving_stops_all_the_same(tiny_folder, tmp_path):
    lost = (
        "+callbacks.lost={_target_: tests.cli.stopping.LostInterrupt, epoch: 0}",
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=2",
        "evaluate=false",
    )
    arguments = "dataset=folder", f"dataset.root={tiny_folder}", *QUICK, *lost, f"hydra.run.dir={tmp_path}"
    ended = run_script("train", *arguments, code=130)
    assert "resume=" in ended.stdout + ended.stderr and "Exception ignored in" in ended.stderr
    assert len(list(csv.DictReader((tmp_path / "tables" / "history.csv").open()))) == 1


@pytest.mark.slow
def test_two_cpu_processes_train_and_evaluate_like_one(tiny_folder, tmp_path):
    """Terms that are plain means over pixels have the same gradients however a batch is shared."""
    common = (
        "dataset=folder",
        f"dataset.root={tiny_folder}",
        *QUICK,
        "encoder.freeze_norm=true",
        # Adam would turn rounding errors of tiny gradients into whole steps.
        "optimizer.factory._target_=torch.optim.SGD",
        "optimizer.factory.lr=0.001",
        # Over the pixels of a whole batch, of which each process sees its share.
        "loss.weights.edge=0",
        "loss.weights.error_dice=0",
        "loss.class_weights=[1,1,1,1]",
        "trainer.max_epochs=2",
        "seed=3",
    )
    run_script("train", *common, f"hydra.run.dir={tmp_path}/one")
    run_fresh("train", *common, "trainer=ddp_cpu", "sampling.images_per_batch=1", f"hydra.run.dir={tmp_path}/two")
    run_script("train", *common, "optimizer.factory.lr=1e-12", "evaluate=false", f"hydra.run.dir={tmp_path}/start")
    start, one, two = (
        torch.cat(
            [tensor.double().flatten() for _, tensor in sorted(read_tensors(tmp_path / name / "assessor.safetensors").items())]
        )
        for name in ("start", "one", "two")
    )
    assert (two - one).norm() < 0.01 * (one - start).norm(), "both went the same way"
    first, second = (json.loads((tmp_path / name / "metrics.json").read_text())["results"] for name in ("one", "two"))
    # Baselines do not depend on training: pooled metrics are the same (means over tiles up to the order of summation).
    for source, metrics in first["boundary_prior"].items():
        assert metrics == pytest.approx(second["boundary_prior"][source], abs=1e-5), source
    assert first["compact"]["all"]["pixels"] == second["compact"]["all"]["pixels"]
    assert first["compact"]["all"]["iou_mae"] == pytest.approx(second["compact"]["all"]["iou_mae"], abs=5e-3)
    rows = [list(csv.DictReader((tmp_path / name / "tiles.csv").open())) for name in ("one", "two")]
    assert sorted((r["method"], r["name"], r["source"]) for r in rows[0]) == sorted(
        (r["method"], r["name"], r["source"]) for r in rows[1]
    )


@pytest.mark.slow
def test_a_grid_sweep_leaves_one_folder_per_run(tiny_folder, tmp_path):
    data = "dataset=folder", f"dataset.root={tiny_folder}", "evaluate=false"
    run_script("train", "-m", *data, *QUICK, "seed=1,2", f"hydra.sweep.dir={tmp_path}", cwd=ROOT)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["0", "1"]
    assert all((tmp_path / run / "assessor.safetensors").is_file() for run in "01")
    assert os.path.getsize(tmp_path / "0" / "assessor.safetensors") > 0  # noqa: PTH202
