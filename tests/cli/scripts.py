"""Runs the project's scripts as a user does."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from tests.conftest import ROOT, THREADS

# A network and a training small enough for a test.
QUICK = (
    "encoder.pretrained=false",
    "assessor.depth=1",
    "sampling.crop=64",
    "sampling.images_per_batch=2",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
)


def run_fresh(
    script: str, *arguments: str | Path, cwd: Path | None = None, code: int = 0, threads: int = THREADS
) -> subprocess.CompletedProcess[str]:
    """Run `python <script>.py ...`, or `python -m <script> ...` for the package or a module, and check its exit code."""
    program = ["-m", script] if script.startswith("segassess") else [str(ROOT / f"{script}.py")]
    command = [sys.executable, *program, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "COLUMNS": "160"}
    result = subprocess.run(command, cwd=cwd or ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == code, f"exit code {result.returncode}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result


# A process that has imported everything once, whose forks run the scripts, so that no state is shared.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.cli.scripts",
        *(f"segassess.cli.{task}" for task in ("train", "segmenter", "evaluate", "predict", "export", "prepare")),
    ]
)


def run_script(script: str, *arguments: str | Path, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """As `run_fresh`, in a fork of a process that has imported everything: without the seconds that imports take."""
    with TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = FORKS.Process(target=_run, args=(script, list(map(str, arguments)), cwd or ROOT, outputs, dict(os.environ)))
        process.start()
        process.join(600)
        if process.exitcode is None:
            process.kill()
            process.join()
        out, err = (path.read_text() if path.exists() else "" for path in outputs)
    assert process.exitcode == code, f"exit code {process.exitcode}\n{out[-3000:]}\n{err[-3000:]}"
    return subprocess.CompletedProcess([script, *map(str, arguments)], code, out, err)


def _run(script: str, arguments: list[str], cwd: Path, outputs: list[Path], environment: dict[str, str]) -> None:
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment, COLUMNS="160")
    os.chdir(cwd)
    # Whoever starts the tests in the background may have switched it off.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(THREADS)
    if script.startswith("segassess"):
        sys.argv = [script, *arguments]
        runpy.run_module(script, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [str(ROOT / f"{script}.py"), *arguments]
        runpy.run_path(sys.argv[0], run_name="__main__")


# Each takes longer to import than all that `--help` needs.
HEAVY = {"torch", "lightning", "rasterio", "pyogrio", "scipy", "matplotlib", "albumentations", "torchmetrics", "pandas"}


def light(result: subprocess.CompletedProcess[str]) -> bool:
    """Whether a process, started with PYTHONPROFILEIMPORTTIME=1, imported nothing heavy."""
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert "hydra" in imported
    return not imported & HEAVY


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that the user is told."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]
