"""What a run shows, in its folder and on W&B (offline)."""

import csv
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from PIL import Image

from segassess.cli import build_training
from segassess.cli.build_training import git_revision
from segassess.errors import ConfigError, RequestError
from segassess.quality import CLASS_NAMES, NOT_ASSESSED
from tests.cli.scripts import QUICK, run_script
from tests.cli.wandb_runs import stored_runs
from tests.conftest import ROOT

FIGURES = {"history", "tiles", "tiles_best", "confusion", "reliability", "review"}
LOGGERS = ("wandb", "wandb_offline")
TABLES = {"history", "scores", "confusion", "reliability", "review"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_a_training_leaves_all_figures_and_tables_without_any_account(trained):
    assert names(trained / "figures") == FIGURES and names(trained / "tables") == TABLES
    for path in [*(trained / "figures").iterdir(), trained / "dashboard.png"]:
        picture = np.asarray(Image.open(path).convert("RGB"))
        assert min(picture.shape[:2]) > 200 and picture.std() > 5, path
    assert not (trained / "wandb").exists()


def test_the_history_of_a_training_is_what_its_loggers_got(trained):
    (epoch,) = rows(trained / "tables" / "history.csv")
    logged = [row for row in rows(trained / "training" / "metrics.csv") if row["valid/fp_fn_miou"]]
    expected = ["valid/fp_fn_miou", "valid/alpha/fp_fn_miou", "valid/beta/fp_fn_miou"]
    expected += [f"valid/{name.lower()}_iou" for name in CLASS_NAMES]
    for name in expected:
        assert float(epoch[name]) == pytest.approx(float(logged[0][name])), name
    assert {"train/loss", "train/cross_entropy", "train/edge"} <= set(epoch)
    assert float(epoch["train/learning_rate"]) > 0
    views, megapixels = (float(epoch[f"train/{unit}_per_s"]) for unit in ("views", "megapixels"))
    assert megapixels == pytest.approx(views * 64 * 64 / 1e6)


def test_tables_of_an_evaluation_agree_with_its_metrics(trained):
    compact = json.loads((trained / "metrics.json").read_text())["results"]["compact"]["all"]
    confusion = {row["true"]: row for row in rows(trained / "tables" / "confusion.csv")}
    counts = np.array([[int(confusion[true][predicted]) for predicted in CLASS_NAMES] for true in CLASS_NAMES])
    assert counts.sum() == compact["pixels"]
    assert counts[1, 1] / (counts[1].sum() + counts[:, 1].sum() - counts[1, 1]) == pytest.approx(compact["fp_iou"])
    shares = [sum(float(confusion[true][f"{predicted}_share"]) for predicted in CLASS_NAMES) for true in CLASS_NAMES]
    assert shares == pytest.approx([1] * 4)
    bins = [row for row in rows(trained / "tables" / "reliability.csv") if row["method"] == "compact"]
    gaps = [abs(float(row["predicted_error"]) - float(row["observed_error"])) * int(row["pixels"]) for row in bins]
    assert sum(gaps) / counts.sum() == pytest.approx(compact["ece"])
    review = [row for row in rows(trained / "tables" / "review.csv") if row["method"] == "compact"]
    assert len(review) == 9 + 1 and float(review[-1]["errors_found"]) == pytest.approx(1)
    scores = rows(trained / "tables" / "scores.csv")
    tiles = {(row["name"], row["source"]): row for row in rows(trained / "tiles.csv") if row["method"] == "compact"}
    assert len(scores) == len(tiles) == 9
    for row in scores:
        assert row["estimated_iou"] == tiles[row["name"], row["source"]]["estimated_iou"]
    expected = [float(row["expected_error_share"]) for row in scores]
    assert expected == sorted(expected, reverse=True) and 0 < expected[0] < 1


def test_a_run_says_what_it_was_asked_to_do_and_its_checkpoints_do_not(trained, tiny_folder):
    record = json.loads((trained / "run.json").read_text())
    assert record["git_revision"] == git_revision()
    assert record["dataset"]["root"] == str(tiny_folder) and record["sampling"]["crop"] == 64
    assert record["callbacks"]["tiles"]["folder"] == str(trained)
    logged = yaml.safe_load((trained / "training" / "hparams.yaml").read_text())
    assert logged["git_revision"] == record["git_revision"] and logged["optimizer"] == record["optimizer"]


def test_an_evaluation_leaves_its_figures(checkpoint, tiny_folder, tmp_path):
    data = "dataset=folder", f"dataset.root={tiny_folder}", f"checkpoint={checkpoint}", "source=[alpha,ocrnet]"
    run_script("evaluate", *data, "trainer.enable_progress_bar=false", f"hydra.run.dir={tmp_path}")
    assert names(tmp_path / "figures") == {"confusion", "reliability", "review"}
    assert names(tmp_path / "tables") == {"scores", "confusion", "reliability", "review"}


def test_the_revision_is_that_of_the_clone_of_this_file(tmp_path):
    def git(*arguments):
        identity = "-c", "user.name=a", "-c", "user.email=a@b.c"
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "code.py"
    file.write_text("1")
    assert git_revision(file) is None
    git("init")
    assert git_revision(file) is None, "it is installed below a clone, and not part of it"
    git("add", "code.py")
    git("commit", "-m", "one")
    git("tag", "v1")
    assert git_revision(file) == git("rev-parse", "HEAD")
    file.write_text("2")
    assert git_revision(file) == git("rev-parse", "HEAD") + "-dirty"


@pytest.fixture
def in_a_sweep(monkeypatch):
    hydra = SimpleNamespace(mode=RunMode.MULTIRUN, sweep=SimpleNamespace(dir="multirun/train/today"))
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)


def node(**options):
    settings = OmegaConf.merge(*(OmegaConf.load(ROOT / "conf" / "logger" / f"{name}.yaml").wandb for name in LOGGERS))
    return OmegaConf.create({"wandb": OmegaConf.merge(settings, {"save_dir": "multirun/train/today/3"}, options)})


def test_runs_are_named_after_their_folders_and_those_of_a_sweep_are_a_group(in_a_sweep):
    (logger,) = build_training.loggers(node())
    assert (logger._wandb_init["name"], logger._wandb_init["group"]) == ("today/3", "train/today")
    (logger,) = build_training.loggers(node(name="mine", group="ours"))
    assert (logger._wandb_init["name"], logger._wandb_init["group"]) == ("mine", "ours")


def test_one_identity_for_a_whole_sweep_is_refused(in_a_sweep, monkeypatch):
    with pytest.raises(ConfigError, match=r"logger.wandb.id .*'abc'"):
        build_training.loggers(node(id="abc"))
    monkeypatch.setenv("WANDB_RUN_ID", "xyz")
    with pytest.raises(ConfigError, match="'xyz'"):
        build_training.loggers(node())


def test_a_missing_package_is_named_with_its_extra(in_a_sweep, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", False)
    with pytest.raises(ConfigError, match=r"needs the package wandb: pip install 'segassess\[wandb\]'"):
        build_training.loggers(node())


def test_without_a_login_one_sentence_says_what_to_do(in_a_sweep, monkeypatch):
    wandb = pytest.importorskip("wandb")
    asked = {}

    def init(**options):
        asked.update(options)
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.\nMore of it.")

    monkeypatch.setattr(wandb, "init", init)
    (logger,) = build_training.loggers(node())
    with pytest.raises(RequestError, match=r"No API key configured.*wandb login.*logger=wandb_offline"):
        logger.log_hyperparams({"a": 1})
    assert asked["project"] == "segassess" and "anonymous" not in asked, "W&B warns of it"


def test_checkpoints_are_uploaded_online_only():
    online, offline = OmegaConf.load(ROOT / "conf" / "logger" / "wandb.yaml").wandb, node().wandb
    assert online.log_model is True and not online.offline
    assert offline.log_model is False and offline.offline is True


@pytest.mark.slow
def test_an_offline_run_of_a_training_can_be_read_back(tiny_folder, tmp_path):
    pytest.importorskip("wandb")
    data = "dataset=folder", f"dataset.root={tiny_folder}", "held_out=[ocrnet]", "logger=wandb_offline", "trainer.max_epochs=2"
    run_script("train", *data, *QUICK[:-2], QUICK[-1], "trainer.log_every_n_steps=1", f"hydra.run.dir={tmp_path}/some/run")
    folder = tmp_path / "some" / "run"
    (run,) = stored_runs(folder)
    assert run.exit_code == 0 and run.info.display_name == "some/run" and not run.artifacts

    assert run.config["git_revision"] == git_revision()
    assert run.config["optimizer"]["factory"]["lr"] > 0 and run.config["dataset"]["root"] == str(tiny_folder)
    assert run.config["description"]["training"]["sources"] == ["alpha", "beta"]

    per_epoch = ["valid/fp_fn_miou", "valid/alpha/fp_fn_miou", "valid/beta/fp_fn_miou", "train/views_per_s"]
    per_epoch += ["train/megapixels_per_s", "train/loss_epoch", "train/edge_epoch", "figures/tiles"]
    per_epoch += [f"valid/{name.lower()}_iou" for name in CLASS_NAMES]
    for name in per_epoch:
        assert len(run.logged(name)) == 2, name
    assert len(run.logged("train/loss_step")) == 8 and len(run.logged("train/learning_rate")) == 8 + 2
    local = rows(folder / "tables" / "history.csv")
    assert run.logged("valid/fp_fn_miou") == pytest.approx([float(row["valid/fp_fn_miou"]) for row in local])

    for shown in run.logged("figures/tiles"):
        # Three validation tiles, with the masks of both training sources in turn.
        assert shown["captions"] == [f"valid_{n}, mask of {source}" for n, source in enumerate(("alpha", "beta", "alpha"))]
        for picture, overlays in zip(shown["filenames"], shown["all_masks"], strict=True):
            assert Image.open(run.files / picture).size == (96, 96)
            assert set(overlays) == {"mask", "predicted", "true"}
            codes = {name: np.asarray(Image.open(run.files / overlay["path"])) for name, overlay in overlays.items()}
            assert set(np.unique(codes["mask"])) <= {0, 1} and set(np.unique(codes["true"])) <= {0, 1, 2, 3, NOT_ASSESSED}
            inside = codes["mask"] == 1
            for name in ("predicted", "true"):
                assert np.isin(codes[name][inside], (0, 1)).all() and np.isin(codes[name][~inside], (2, 3)).all()

    for name in ("confusion", "reliability", "review"):
        (shown,) = run.logged(f"figures/{name}")
        (picture,) = shown["filenames"]
        assert (run.files / picture).read_bytes() == (folder / "figures" / f"{name}.png").read_bytes()
    for name in ("scores", "confusion", "reliability", "review"):
        columns, cells = run.table(f"tables/{name}")
        stored = rows(folder / "tables" / f"{name}.csv")
        assert columns == list(stored[0]) and len(cells) == len(stored)
        assert [str(cell) if cell is not None else "" for cell in cells[0]] == list(stored[0].values())
    results = json.loads((folder / "metrics.json").read_text())["results"]["compact"]
    assert run.logged("evaluation/fp_fn_miou") == [pytest.approx(results["all"]["fp_fn_miou"])]
    assert run.logged("evaluation/ocrnet/fp_fn_miou") == [pytest.approx(results["ocrnet"]["fp_fn_miou"])]


@pytest.mark.slow
def test_a_sweep_makes_runs_of_their_own_and_keeps_their_best_checkpoints(tiny_folder, tmp_path):
    """With `logger=wandb` where W&B itself is told to stay offline: artifacts are noted for a later upload."""
    pytest.importorskip("wandb")
    data = "dataset=folder", f"dataset.root={tiny_folder}", "evaluate=false", "logger=wandb"
    run_script("train", "-m", *data, *QUICK, "seed=1,2", f"hydra.sweep.dir={tmp_path}/sweep")
    runs = [run for number in (0, 1) for run in stored_runs(tmp_path / "sweep" / str(number))]
    assert len(runs) == len({run.info.run_id for run in runs}) == 2
    for number, run in enumerate(runs):
        assert run.exit_code == 0 and run.config["seed"] == number + 1
        assert run.info.display_name == f"sweep/{number}" and run.info.run_group == f"{tmp_path.name}/sweep"
        assert len(run.logged("valid/fp_fn_miou")) == 1
        assert sorted(run.artifacts) == [f"assessor-{run.info.run_id}", f"model-{run.info.run_id}"]


@pytest.mark.slow
def test_a_run_that_dies_is_closed_as_failed(tiny_folder, tmp_path):
    pytest.importorskip("wandb")
    data = "dataset=folder", f"dataset.root={tiny_folder}", "evaluate=false", "logger=wandb_offline", "trainer.max_epochs=3"
    dying = "+callbacks.die={_target_: tests.cli.stopping.DieAfterEpoch, epoch: 1}"
    options = *data, *QUICK[:-2], QUICK[-1], dying
    run_script("train", "-m", *options, "seed=1,2", f"hydra.sweep.dir={tmp_path}", cwd=ROOT, code=1)
    runs = [run for number in (0, 1) for run in stored_runs(tmp_path / str(number))]
    assert len({run.info.run_id for run in runs}) == 2, "the second run is not written into the dead first one"
    for number, run in enumerate(runs):
        assert run.exit_code == 1
        assert (tmp_path / str(number) / "figures" / "history.png").is_file()
        assert len(rows(tmp_path / str(number) / "tables" / "history.csv")) == len(run.logged("valid/fp_fn_miou")) == 2
