"""Searches by Optuna, and what may not be swept."""

import csv
import json
import signal
import subprocess
import sys
import time

import optuna
import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from segassess.errors import RequestError
from segassess.experiments.search import Search, _locks
from segassess.experiments.sweep_check import check_sweep
from segassess.files import LOCK
from tests.cli.scripts import QUICK, error_of, run_script
from tests.conftest import ROOT

STATE = optuna.trial.TrialState


def swept(*overrides, name="train"):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose(name, ["hydra.mode=MULTIRUN", *overrides], return_hydra_config=True)


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))
    yield
    end_process()


def stored(folder):
    return optuna.load_study(study_name="segassess", storage=f"sqlite:///{folder}/study.db")


def end_process():
    """What the end of a process does to its locks."""
    while _locks:
        _locks.pop().release()


@pytest.fixture
def search(tmp_path):
    """The overrides of a search with a data base, which holds a run that is done, one that failed and one that was killed."""

    def overrides(*more):
        return ["hparams_search=optuna_sqlite", f"hydra.sweep.dir={tmp_path}", "hydra.sweeper.n_trials=3", *more]

    Search().on_multirun_start(swept(*overrides()))
    study = stored(tmp_path)
    for state, value in ((STATE.COMPLETE, 0.5), (STATE.FAIL, None), (None, None)):
        trial = study.ask({"seed": optuna.distributions.UniformDistribution(0, 1)})
        if state is not None:
            study.tell(trial, value, state)
    end_process()
    return overrides, lambda: stored(tmp_path)


def test_a_new_search_has_all_before_it(tmp_path):
    config = swept("hparams_search=optuna_sqlite", f"hydra.sweep.dir={tmp_path}")
    Search().on_multirun_start(config)
    assert config.hydra.sweeper.n_trials == 20 and config.hydra.sweeper.sampler.seed == config.seed
    assert "subdir" not in OmegaConf.to_yaml(config.hydra.overrides)


def test_a_resumed_search_does_what_is_left_and_counts_on(search, capsys):
    overrides, load = search
    config = swept(*overrides())
    Search().on_multirun_start(config)
    study = load()
    assert [trial.state for trial in study.trials] == [STATE.COMPLETE, STATE.FAIL, STATE.FAIL]
    said = capsys.readouterr().out
    assert config.hydra.sweeper.n_trials == 2 and "1 of 3 runs are done, 2 are left; #0 below is run 3." in said
    # Three draws were made before; the folders 0, 1 and 2 are taken.
    assert config.hydra.sweeper.sampler.seed == config.seed + 3
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        job = compose(
            "train", [OmegaConf.to_container(config.hydra.overrides.hydra)[-1], "hydra.job.num=1"], return_hydra_config=True
        )
    assert str(job.hydra.sweep.subdir) == "4"
    again = swept(*overrides("hydra.sweeper.n_trials=1"))
    end_process()
    Search().on_multirun_start(again)
    assert again.hydra.sweeper.n_trials == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["sampling.crop=64"], "sampling.crop=64"),
        (["hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs"),
        (["hydra.sweeper.storage=sqlite:////no/such/folder/study.db"], "cannot be opened"),
    ],
)
def test_what_a_search_cannot_go_on_with_is_one_sentence(search, more, words, capsys):
    overrides, _ = search
    with pytest.raises(SystemExit) as stopped:
        Search().on_multirun_start(swept(*overrides(*more)))
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and words in error and error.count("\n") == 1


def test_a_search_that_another_process_works_on_is_refused(search, tmp_path, capsys):
    overrides, _ = search
    with FileLock(tmp_path / LOCK), pytest.raises(SystemExit) as stopped:
        Search().on_multirun_start(swept(*overrides()))
    assert stopped.value.code == 2 and "Another process is at work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        (["trainer=ddp"], True),
        (["trainer=ddp_cpu"], True),
        (["trainer=gpu", "trainer.devices=2"], True),
        (["trainer=gpu", "trainer.devices=[0,1]"], True),
        (["trainer=fsdp"], True),
        (["trainer=ddp_multinode", "trainer.devices=1"], True),
        (["hparams_search=optuna", "trainer=ddp_cpu"], True),
        (["trainer=ddp_cpu", "hydra.mode=RUN"], False),
        (["trainer=ddp_cpu", "trainer.strategy=ddp_spawn"], False),
        (["trainer=ddp", "trainer.devices=1"], False),
        (["trainer=gpu", "trainer.devices=[3]"], False),
        (["trainer=ddp", "hydra/launcher=slurm"], False),
        (["hparams_search=optuna"], False),
        (["trainer.devices=auto"], False),
    ],
)
def test_runs_that_would_start_the_sweep_again_are_refused(overrides, refused):
    config = swept(*overrides)
    if refused:
        with pytest.raises(RequestError, match=r"would each start the whole sweep again; use trainer\.strategy=ddp_spawn"):
            check_sweep(config, config.hydra)
    else:
        check_sweep(config, config.hydra)


def test_a_plugin_that_is_not_installed_is_named_with_its_extra():
    config = swept("hydra.launcher._target_=hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher")
    with pytest.raises(
        RequestError, match=r"hydra/launcher needs the package hydra_ray_launcher: pip install 'segassess\[sweep\]'"
    ):
        check_sweep(config, config.hydra)


@pytest.mark.parametrize("sweep", ["hparams_search=optuna", "seed=1,2"])
def test_a_sweep_with_ddp_is_refused_at_once(sweep):
    assert "trainer.strategy=ddp_spawn" in error_of(run_script("train", "-m", sweep, "trainer=ddp_cpu", code=2))


def command_of(tiny_folder, folder, *more):
    common = ["dataset=folder", f"dataset.root={tiny_folder}", "baselines=[]", f"hydra.sweep.dir={folder}"]
    return [sys.executable, str(ROOT / "train.py"), "-m", *common, *QUICK, *more]


def wait_for(path, process):
    deadline = time.monotonic() + 200
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.1)


def summary(folder):
    return list(csv.DictReader((folder / "summary.csv").open()))


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_from_its_data_base(tiny_folder, tmp_path):
    command = command_of(tiny_folder, tmp_path, "hparams_search=optuna_sqlite", "hydra.sweeper.n_trials=3")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for(tmp_path / "1" / ".hydra" / "overrides.yaml", process)
    process.kill()
    process.wait()
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "1 of 3 runs are done, 2 are left" in result.stdout
    study = stored(tmp_path)
    assert [trial.state for trial in study.trials] == [STATE.COMPLETE, STATE.FAIL, STATE.COMPLETE, STATE.COMPLETE]
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 4
    rows = {row["run"]: row for row in summary(tmp_path)}
    assert {run: row["status"] for run, row in rows.items()} == {"0": "done", "1": "not finished", "2": "done", "3": "done"}
    for trial in study.trials:
        assert float(rows[str(trial.number)]["optimizer.factory.lr"]) == pytest.approx(trial.params["optimizer.factory.lr"])
        if trial.value is not None:
            assert json.loads((tmp_path / str(trial.number) / "done.json").read_text())["objective"] == trial.value
    assert next(iter(rows.values()))["run"] == str(study.best_trial.number)
    assert (tmp_path / "summary.png").is_file()


@pytest.mark.slow
def test_a_search_of_wrong_requests_is_one_sentence(tiny_folder, tmp_path):
    command = command_of(tiny_folder, tmp_path, "hparams_search=optuna", "hydra.sweeper.n_trials=2", "sampling.sources=[gamma]")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and error_of(result).startswith("Error: 2 of 2 runs failed: ")
    assert [row["status"] for row in summary(tmp_path)] == ["failed", "failed"]


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_is_summed_up(tiny_folder, tmp_path):
    process = subprocess.Popen(
        command_of(tiny_folder, tmp_path, "seed=1,2,3"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background may have them ignore it, which processes inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(tmp_path / "1" / ".hydra" / "overrides.yaml", process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and "Interrupted." in error and "Traceback" not in error
    assert [(row["run"], row["status"]) for row in summary(tmp_path)] == [("0", "done"), ("1", "not finished")]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["parallel", "local_jobs"])
def test_launchers_run_a_sweep(launcher, tiny_folder, tmp_path):
    command = command_of(tiny_folder, tmp_path, "seed=1,2", f"hydra/launcher={launcher}")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert {(row["seed"], row["status"]) for row in summary(tmp_path)} == {("1", "done"), ("2", "done")}


@pytest.mark.slow
def test_ddp_spawn_works_in_a_sweep(tiny_folder, tmp_path):
    command = command_of(tiny_folder, tmp_path, "seed=1,2", "trainer=ddp_cpu", "trainer.strategy=ddp_spawn", "evaluate=false")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert result.returncode == 0, result.stderr[-3000:]
    assert [row["status"] for row in summary(tmp_path)] == ["done", "done"]
