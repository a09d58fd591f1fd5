"""`predict.py` in several processes: the same files as in one, also when processes die."""

import contextlib
import csv
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from segassess.predict.cluster import local_cluster
from tests.cli.scenes import WINDOWS, write_scenes, write_tif
from tests.cli.scripts import error_of, run_fresh
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A small scene, a large one that is cut, and one whose mask is of another size."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, {"a": 60, "b": 900, "c": 90})
    write_tif(folder / "mask" / "c.tif", np.ones((1, 7, 7), np.uint8))
    return folder


@pytest.fixture(scope="module")
def common(scenes, checkpoint):
    """Arguments of all runs."""
    return f"image={scenes}/image", f"mask={scenes}/mask", f"checkpoint={checkpoint}", *WINDOWS


@pytest.fixture(scope="module")
def one(common, tmp_path_factory):
    """What one process leaves; workers have one thread each, and the number of threads shows in the last digits."""
    folder = tmp_path_factory.mktemp("one")
    return folder, run_fresh("predict", *common, f"output_dir={folder}", code=1, threads=1)


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("run.json", "scores.json")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_two_processes_leave_what_one_leaves(common, one, tmp_path):
    several = *common, f"output_dir={tmp_path}/two", "engine.workers=2", "engine.bands=4"
    two = run_fresh("predict", *several, code=1)
    assert "c.tif" in error_of(one[1]) and error_of(two) == error_of(one[1])
    assert digests(tmp_path / "two") == digests(one[0])
    assert [row["name"] for row in csv.DictReader((tmp_path / "two" / "scores.csv").open())] in (["a", "b"], ["b", "a"])
    again = run_fresh("predict", *several, code=1)
    assert "2 of 3 were complete" in again.stdout


@pytest.fixture(scope="module")
def many(checkpoint, tmp_path_factory):
    """Arguments for more scenes, large ones among them, and what one process leaves of them."""
    folder = tmp_path_factory.mktemp("many")
    write_scenes(folder, {f"scene{number}": 1000 if number % 5 == 0 else 200 for number in range(15)})
    arguments = f"image={folder}/image", f"mask={folder}/mask", f"checkpoint={checkpoint}", *WINDOWS, "panel=false"
    run_fresh("predict", *arguments, f"output_dir={folder}/one", threads=1)
    return arguments, digests(folder / "one")


def workers_of(process):
    """Processes that a process has started to judge."""
    found = []
    for child in psutil.Process(process).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # or one that was killed and is not replaced yet
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_processes_that_die_are_replaced(workers, many, tmp_path):
    arguments, expected = many
    command = [sys.executable, str(ROOT / "predict.py"), *arguments, f"output_dir={tmp_path}/out", f"engine.workers={workers}"]
    run = subprocess.Popen([*command, "engine.bands=5"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    chance, killed, done = random.Random(workers), 0, 1  # a file says that the run has begun
    try:
        while run.poll() is None and killed < 10:
            # Workers take seconds to start; at most other moments there is none at work.
            time.sleep(chance.uniform(0, 0.5))
            files = sum(path.is_file() for path in (tmp_path / "out").rglob("*"))
            at_work = workers_of(run.pid)
            if files > done + 2 and at_work:
                chance.choice(at_work).kill()
                killed, done = killed + 1, files
        output, _ = run.communicate(timeout=300)
    finally:
        run.kill()
    assert run.returncode == 0, output[-3000:]
    assert killed == 10
    assert digests(tmp_path / "out") == expected


@pytest.mark.slow
def test_an_interrupted_run_goes_on_on_a_cluster_that_runs_already(many, tmp_path):
    with local_cluster(2) as client:
        arguments = *many[0], f"output_dir={tmp_path}/out", "engine=dask", f"engine.scheduler={client.scheduler.address}"
        command = [sys.executable, str(ROOT / "predict.py"), *arguments]
        for _ in range(5):
            run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            limit = time.monotonic() + 120
            while not list((tmp_path / "out").rglob("scores.json")) and time.monotonic() < limit:
                time.sleep(0.02)
            if run.poll() is None:
                os.kill(run.pid, signal.SIGINT)
                break
            shutil.rmtree(tmp_path / "out")  # on a busy machine all scenes may be done before this process looks
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 130 and "Interrupted." in errors and "Traceback" not in errors
        result = run_fresh("predict", *arguments)
    assert "were complete from an earlier run" in result.stdout
    assert digests(tmp_path / "out") == many[1]


def test_nobody_answers(common, tmp_path):
    result = run_fresh(
        "predict", *common, f"output_dir={tmp_path}/out", "engine=dask", "engine.scheduler=tcp://127.0.0.1:9", code=2
    )
    assert "engine.scheduler=tcp://127.0.0.1:9" in error_of(result)


def test_trainer_does_not_share_scenes(common, tmp_path):
    result = run_fresh("predict", *common, f"output_dir={tmp_path}/out", "trainer=ddp_cpu", code=2)
    assert "engine.workers=N" in error_of(result)
    assert not (tmp_path / "out").exists()
