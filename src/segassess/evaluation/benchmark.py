"""A benchmark's trainings, each in its own process, and the check for leaks."""

import json
import logging
import os
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segassess.data.datamodule import AssessmentData
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.benchmark_tables import Part
from segassess.evaluation.commands import command_of
from segassess.files import write_json
from segassess.models.assessor.trained_assessor import LoadedAssessor, load_assessor
from segassess.version import __version__

log = logging.getLogger(__name__)

ASSESSOR = "assessor.safetensors"
RECIPE = "recipe.json"
LOG = "training.log"


@dataclass(frozen=True)
class Training:
    """One training: `train.py` with these overrides, into this folder."""

    method: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path

    def run(self, threads: int | None = None) -> LoadedAssessor:
        """Train, resume, or load a complete training; `threads` limits the process and sends its output to a file.

        Raises RequestError if the folder holds another training, or training fails.
        """
        recipe, file = self.folder / RECIPE, self.folder / ASSESSOR
        wanted = {"version": __version__, "overrides": list(self.overrides)}
        if recipe.is_file() and json.loads(recipe.read_text(encoding="utf-8")) != wanted:
            raise RequestError(
                f"{self.folder} holds a training with other settings; move it away or set benchmark.folder to another folder."
            )
        if file.is_file():
            log.info("%s, seed %d: complete from an earlier run (%s).", self.method, self.seed, file)
            return load_assessor(file)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(recipe, wanted)
        last = self.folder / "checkpoints" / "last.ckpt"
        resume = [f"resume={last}"] if last.is_file() else []
        log.info("%s, seed %d: training%s.", self.method, self.seed, " goes on" if resume else "")
        command = [*command_of("train"), *self.overrides, *resume, f"hydra.run.dir={self.folder}"]
        with ExitStack() as stack:
            options: dict[str, Any] = {}
            if threads is not None:
                output = stack.enter_context((self.folder / LOG).open("a", encoding="utf-8"))
                options = {"stdout": output, "stderr": output, "env": {**os.environ, "OMP_NUM_THREADS": str(threads)}}
            code = subprocess.run(command, check=False, **options).returncode
        if code:
            where = "above" if threads is None else str(self.folder / LOG)
            raise RequestError(f"The training of {self.method} with seed {self.seed} ended with exit code {code}; see {where}.")
        log.info("%s, seed %d: done.", self.method, self.seed)
        return load_assessor(file)


def train_all(trainings: Sequence[Training], jobs: int) -> list[LoadedAssessor]:
    """Run all trainings, `jobs` at a time on shared cores, and return the assessors in their order.

    Raises ConfigError if `jobs` is below 1; RequestError as `Training.run`: running trainings end first, no other starts.
    """
    if jobs < 1:
        raise ConfigError(f"benchmark.jobs must be at least 1, not {jobs}.")
    if jobs == 1:
        return [training.run() for training in trainings]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ThreadPoolExecutor(jobs)
    try:
        return list(pool.map(lambda training: training.run(threads), trainings))
    finally:
        pool.shutdown(cancel_futures=True)


def refuse_leaks(loaded: LoadedAssessor, data: AssessmentData, parts: Iterable[Part]) -> None:
    """Refuse to report as unseen what an assessor was trained, selected or calibrated on.

    Raises RequestError, naming the first such tile or source.
    """
    training = loaded.description.training
    if "trained_on" not in training:
        raise RequestError("The checkpoint does not list the tiles that the assessor has seen; train it again.")
    seen = {*training["trained_on"], *training["selected_on"]}
    groups = {tile.group for tile in data.tileset.tiles("train") if tile.key in seen}
    for tile in data.test_tiles():
        if tile.key in seen or tile.group in groups:
            raise RequestError(f"The tile {tile.name} took part in training and cannot be reported; choose another split.")
    learned = {*training["sources"], *training["calibration_sources"]}
    for part in parts:
        if part.unseen_sources and (both := sorted(learned & set(part.sources))):
            raise RequestError(f"Masks of {both[0]} took part in training and cannot be reported as unseen.")
