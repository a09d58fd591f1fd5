"""Run the project's commands in processes of their own and measure their cost."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from segassess.errors import RequestError

_HERE = "this version"
_ROOT = Path(__file__).parents[3]


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


@contextmanager
def versions(commit: str | None, folder: Path) -> Iterator[dict[str, Path]]:
    """Where the code of an earlier commit, if one is named, and of this version lies, by name.

    Raises RequestError if the commit cannot be checked out below `folder`.
    """
    here = {_HERE: _ROOT / "src"}
    if commit is None:
        yield here
        return
    tree = folder / "earlier"
    git = ["git", "-C", str(_ROOT), "worktree"]
    added = subprocess.run([*git, "add", "--detach", str(tree), commit], capture_output=True, text=True, check=False)
    if added.returncode:
        raise RequestError(f"against={commit} cannot be checked out ({added.stderr.strip().splitlines()[-1]}).")
    try:
        yield {commit: tree / "src", **here}
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables of the environment within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
