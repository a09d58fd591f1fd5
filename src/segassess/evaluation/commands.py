"""Run the project's commands in processes of their own and measure their cost."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from segassess.errors import RequestError


@dataclass(frozen=True)
class Spent:
    """Cost of a process: wall-clock seconds, CPU seconds of all threads, and peak resident memory."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


def command_of(name: str) -> list[str]:
    """The command line of `segassess <name>`, wherever the package lies."""
    return [sys.executable, "-m", "segassess", name]


def run_measured(command: Sequence[str], output: IO[str] | int | None = None) -> Spent:
    """Run a command to its end; `output` is where it prints, as in `subprocess.Popen`.

    Raises RequestError if its exit code is not 0.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=output)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        process.wait()
        raise
    if code := os.waitstatus_to_exitcode(status):
        raise RequestError(f"{' '.join(command[1:4])} ended with exit code {code}; see above.")
    return Spent(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
