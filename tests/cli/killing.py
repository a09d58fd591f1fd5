"""Judge scenes, and kill the process again and again: `python -m tests.cli.killing KILLS SEED OUT predict-argument ...`.

Prints a JSON object: the number of kills that hit a run at work, of runs that ended before their kill, of files in the
final folder, and the names of those that are not as an undisturbed run leaves them.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from segassess.cli import app, predict  # noqa: F401 - the forked processes have it at hand
from tests.conftest import ROOT

# They hold the time of the run and the folder of its output.
OF_THE_RUN = {"run.json"}


def start(output: Path, arguments: list[str]) -> int:
    """Fork a process that judges; gives its number."""
    if pid := os.fork():
        return pid
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.argv = ["predict.py", *arguments, f"output_dir={output}", f"paths.output_root={output}-log"]
    try:
        app.run_script("predict", str(ROOT / "predict.py"))
    except SystemExit as exit_:
        os._exit(exit_.code)
    os._exit(99)


def run_to_the_end(output: Path, arguments: list[str]) -> float:
    """Seconds that an undisturbed run takes."""
    began = time.monotonic()
    _, status = os.waitpid(start(output, arguments), 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"an undisturbed run ended with {code}")
    return time.monotonic() - began


def digests(folder: Path) -> dict[str, str]:
    """Of all files, hidden ones as well."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in OF_THE_RUN]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unlike(found: dict[str, str], expected: dict[str, str]) -> set[str]:
    """Names of files that are missing, too many, or not the same."""
    return {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)}


def main() -> None:
    kills, seed, folder, arguments = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:]
    torch.set_num_threads(1)
    chance = random.Random(seed)
    duration = run_to_the_end(folder / "undisturbed", arguments)
    expected = digests(folder / "undisturbed")
    output = folder / "killed"
    done = {"kills": 0, "ended before": 0}
    differing: set[str] = set()
    while done["kills"] < kills:
        pid = start(output, arguments)
        # Half of the moments are early, where a run that goes on has most to do.
        time.sleep(chance.uniform(0, duration) * chance.choice((0.5, 1)))
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:
            done["ended before"] += 1
            differing |= unlike(digests(output), expected)
            shutil.rmtree(output)
            continue
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        done["kills"] += 1
    run_to_the_end(output, arguments)
    differing |= unlike(digests(output), expected)
    print(json.dumps({**done, "files": len(expected), "differing": sorted(differing)}))


if __name__ == "__main__":
    main()
