"""Searches by Optuna, and what may not be swept."""

import csv
import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import optuna
import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import OmegaConf

from segassess.errors import ConfigError, InputError, RequestError, SomeInputsFailed
from segassess.experiments.search import RESULTS
from segassess.experiments.sweep_check import check_sweep
from segassess.files import LOCK
from tests.cli.scripts import QUICK, error_of, run_script
from tests.conftest import ROOT

STATE = optuna.trial.TrialState
SAMPLER = "hydra.sweeper.sampler._target_=optuna.samplers."


def swept(*overrides, name="train"):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose(name, ["hydra.mode=MULTIRUN", *overrides], return_hydra_config=True)


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))


def stored(folder):
    return optuna.load_study(study_name="segassess", storage=f"sqlite:///{folder}/study.db")


class Runs:
    """Stands in for a launcher: notes what it is to run, and answers with one objective after another."""

    def __init__(self, objectives=()):
        self.objectives, self.numbers, self.settings, self.batches = list(objectives), [], [], []

    def launch(self, overrides, initial_job_idx):
        self.batches.append(len(overrides))
        self.numbers += [initial_job_idx + position for position in range(len(overrides))]
        self.settings += [dict(each.split("=", 1) for each in run) for run in overrides]
        answers = [self.objectives.pop(0) if self.objectives else 0.5 for _ in overrides]
        if KeyboardInterrupt in answers:
            raise KeyboardInterrupt
        return [SimpleNamespace(return_value=answer) for answer in answers]


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Runs a search on the command line's arguments, as Hydra does; gives what its runs were set to."""

    def run(*arguments, objectives=(), storage=True):
        runs = Runs(objectives)
        monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *_, **__: runs)
        choice = "hparams_search=optuna_sqlite" if storage else "hparams_search=optuna"
        config = swept(choice, f"hydra.sweep.dir={tmp_path}", *(each for each in arguments if "hydra." in each))
        loader = ConfigLoaderImpl(create_config_search_path(str(ROOT / "conf")))
        context = HydraContext(config_loader=loader, callbacks=None)
        sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=None, config=config)
        sweeper.sweep([each for each in arguments if "hydra." not in each])
        return runs

    return run


def test_a_search_draws_what_the_command_line_leaves_open(search, tmp_path):
    space = [
        "a=x,null,[1,2]",
        "b=range(1,10,3)",
        "c=range(0,1,0.25)",
        "d=int(interval(1,4))",
        "e=tag(log,interval(1e-4,1))",
        "+f=1,2",
    ]
    runs = search(*space, "seed=3", "loss.weights.edge=0.5", "hydra.sweeper.n_trials=30", storage=False)
    assert runs.numbers == list(range(30)) and set(runs.batches) == {1}
    seen = {key: {run[key] for run in runs.settings} for key in runs.settings[0]}
    assert seen["a"] == {"x", "null", "[1,2]"} and seen["+f"] == {"1", "2"} and seen["d"] == {"1", "2", "3", "4"}
    # A range leaves its end out, as everywhere in Hydra.
    assert seen["b"] == {"1", "4", "7"} and seen["c"] == {"0.0", "0.25", "0.5", "0.75"}
    assert all(1e-4 <= float(value) <= 1 for value in seen["e"]) and min(map(float, seen["e"])) < 0.05
    assert seen["seed"] == {"3"} and seen["loss.weights.edge"] == {"0.5"}
    # What conf/hparams_search/optuna.yaml searches, unless the command line says otherwise.
    assert len(seen["loss.weights.object"]) == 30 and all(0 <= float(value) <= 2 for value in seen["loss.weights.object"])
    assert not (tmp_path / "study.db").exists()


@pytest.mark.parametrize(("direction", "best"), [("maximize", 0.9), ("minimize", 0.1)])
def test_the_best_run_is_that_of_the_direction(direction, best, search, tmp_path):
    search("hydra.sweeper.n_trials=4", f"hydra.sweeper.direction={direction}", objectives=[0.4, None, 0.9, 0.1])
    result = OmegaConf.load(tmp_path / RESULTS)
    trials = stored(tmp_path).trials
    assert [trial.state for trial in trials] == [STATE.COMPLETE, STATE.FAIL, STATE.COMPLETE, STATE.COMPLETE]
    assert result.best_value == best
    assert result.best_params == next(trial.params for trial in trials if trial.value == best)


def test_runs_side_by_side_are_chosen_at_once(search):
    assert search("hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2").batches == [2, 2, 1]


def test_what_was_learned_leads_after_the_first_runs(search):
    """A sampler that is told nothing draws the same whatever the objectives are."""
    high, low = (
        search("a=interval(0.0,1.0)", "hydra.sweeper.n_trials=12", objectives=values, storage=False).settings
        for values in ([number / 12 for number in range(12)], [1 - number / 12 for number in range(12)])
    )
    assert high[:5] == low[:5] and high[6:] != low[6:]


def test_a_search_that_was_stopped_goes_on(search, tmp_path, capsys):
    options = ["a=interval(0.0,1.0)", "hydra.sweeper.n_trials=4"]
    with pytest.raises(KeyboardInterrupt):
        search(*options, objectives=[0.5, None, KeyboardInterrupt])
    assert stored(tmp_path).trials[2].state == STATE.RUNNING
    capsys.readouterr()
    runs = search(*options)
    # Folders 0, 1 and 2 are taken; failed and killed runs do not count.
    assert runs.numbers == [3, 4, 5] and "1 of 4 runs are done, 3 are left" in capsys.readouterr().out
    trials = stored(tmp_path).trials
    assert [trial.state for trial in trials[:3]] == [STATE.COMPLETE, STATE.FAIL, STATE.FAIL]
    assert len({trial.params["a"] for trial in trials}) == 6
    assert search(*options).numbers == []
    assert search(*options[:1], "hydra.sweeper.n_trials=5").numbers == [6]


@pytest.mark.parametrize("sampler", ["GridSampler", "BruteForceSampler", "RandomSampler"])
def test_another_sampler_may_be_chosen(sampler, search, capsys):
    # Instead of what conf/hparams_search/optuna.yaml searches.
    fixed = ["optimizer.factory.lr=1", *(f"loss.weights.{name}=1" for name in ("error_dice", "object", "edge"))]
    options = [f"{SAMPLER}{sampler}", "~hydra.sweeper.sampler.n_startup_trials", *fixed, "a=range(0,3)", "b=x,y"]
    runs = search(*options, "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2")
    runs.settings += (more := search(*options, "hydra.sweeper.n_trials=9", "hydra.sweeper.n_jobs=2")).settings
    drawn = [(run["a"], run["b"]) for run in runs.settings]
    if sampler == "RandomSampler":
        assert len(drawn) == 9
    else:
        # A grid ends with its last combination, and draws none twice.
        assert sorted(drawn) == [(a, b) for a in "012" for b in "xy"] and more.numbers == [4, 5]


def test_a_function_may_add_to_what_is_searched(search):
    runs = search("hydra.sweeper.custom_search_space=tests.cli.test_search.add_to_space", "hydra.sweeper.n_trials=3")
    assert all(1 <= int(run["sampling.crop"]) <= 3 for run in runs.settings)


def add_to_space(config, trial):
    trial.suggest_int("sampling.crop", 1, 3 if config.seed is not None else 1)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        (["sampling.crop=64"], RequestError, "sampling.crop=64"),
        (["hydra.sweeper.direction=minimize"], RequestError, "direction=minimize"),
        (["hydra.sweeper.direction=up"], ConfigError, "hydra.sweeper.direction"),
        (["hydra.sweeper.n_jobs=0"], ConfigError, "hydra.sweeper.n_jobs"),
        (["hydra.sweeper.n_trials=true"], ConfigError, "hydra.sweeper.n_trials"),
        (["hydra.sweeper.storage=sqlite:////no/such/folder/study.db"], RequestError, "cannot be opened"),
        (["hydra.sweeper.storage=nonsense"], RequestError, "cannot be opened"),
        (["a=interval(3,1)"], ConfigError, "a=interval"),
        (["a=range(3,1)"], ConfigError, "a=range"),
        (
            ["a=interval(0.0,1.0)", f"{SAMPLER}GridSampler", "~hydra.sweeper.sampler.n_startup_trials"],
            ConfigError,
            "is an interval",
        ),
        ([f"{SAMPLER}RandomSampler"], ConfigError, "hydra.sweeper.sampler"),
        ([f"{SAMPLER}Missing"], HydraException, "Missing"),
        (["hydra.sweeper.custom_search_space=no.such"], HydraException, "no.such"),
    ],
)
def test_what_a_search_cannot_go_on_with_is_refused(more, error, words, search):
    search("hydra.sweeper.n_trials=1")
    with pytest.raises(error, match=words):
        search("hydra.sweeper.n_trials=3", *more)


def test_a_search_that_another_process_works_on_is_refused(search, tmp_path):
    with FileLock(tmp_path / LOCK), pytest.raises(InputError, match="another process"):
        search()


def test_a_search_without_a_result_is_an_error(search):
    with pytest.raises(SomeInputsFailed, match="has an objective"):
        search("hydra.sweeper.n_trials=2", objectives=[None, None])


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
        with pytest.raises(RequestError, match=r"trainer\.devices=.*trainer\.strategy=ddp_spawn"):
            check_sweep(config, config.hydra)
    else:
        check_sweep(config, config.hydra)


def test_a_search_without_optuna_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("segassess.experiments.sweep_check.find_spec", lambda name: None if name == "optuna" else name)
    with pytest.raises(RequestError, match=r"optuna: pip install 'segassess\[sweep\]'"):
        check_sweep(config := swept("hparams_search=optuna"), config.hydra)


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
    deadline = time.monotonic() + 600
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
    _, error = process.communicate(timeout=600)
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
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    assert [row["status"] for row in summary(tmp_path)] == ["done", "done"]
