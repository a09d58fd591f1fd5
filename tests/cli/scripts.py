"""Runs the project's scripts as a user does."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# A network and a training small enough for a test.
QUICK = (
    "encoder.pretrained=false",
    "assessor.depth=1",
    "sampling.crop=64",
    "sampling.images_per_batch=2",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
)


def run_script(script: str, *arguments: str | Path, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `python <script>.py ...`, or `python -m <script> ...` for the package or a module, and check its exit code."""
    program = ["-m", script] if script.startswith("segassess") else [str(ROOT / f"{script}.py")]
    command = [sys.executable, *program, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "COLUMNS": "160"}
    result = subprocess.run(command, cwd=cwd or ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == code, f"exit code {result.returncode}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that the user is told."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]
