"""`evaluate.py experiment=benchmark`: the assessor and every baseline on the same tiles and masks, over several seeds.

What must be trained is trained by `train.py` in processes of its own, each into a folder that is kept: the same command again
takes what is complete, and goes on where it was interrupted.
"""

import json
import logging
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from segassess.cli import build
from segassess.cli.app import script_command
from segassess.cli.evaluate import Candidate, evaluate_masks, with_baselines
from segassess.cli.extreme_panels import write_extreme_panels
from segassess.data.module import AssessmentData
from segassess.errors import ConfigError, RequestError
from segassess.experiments.benchmark_tables import Part, benchmark_table, write_benchmark
from segassess.files import atomic_path
from segassess.metrics.evaluation import MaskRow
from segassess.models.assessor.trained_assessor import LoadedAssessor, load_assessor
from segassess.version import __version__

log = logging.getLogger(__name__)

ASSESSOR = "assessor.safetensors"
# In the folder of a training: what it was asked to do.
RECIPE = "recipe.json"
# Likewise: what it printed, where several run side by side.
LOG = "training.log"
# Between the name of a method and the seed of a training.
RUN_OF = "#"
# Keys of this command's overrides that its trainings take over.
SHARED_KEYS = ("dataset", "paths", "held_out", "trainer")


@dataclass(frozen=True)
class Training:
    """A training of the benchmark: `train.py` with these overrides, into this folder."""

    method: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path

    def run(self, threads: int | None = None) -> LoadedAssessor:
        """Train, or go on, or take what is complete.

        Args:
            threads: of the process, which then has company and prints into its folder; None has the terminal to itself.

        Raises:
            RequestError: if the folder holds another training, or training fails.
        """
        recipe, file = self.folder / RECIPE, self.folder / ASSESSOR
        wanted = {"version": __version__, "overrides": list(self.overrides)}
        if recipe.is_file() and json.loads(recipe.read_text(encoding="utf-8")) != wanted:
            raise RequestError(
                f"{self.folder} holds a training with other settings; move it away, or set benchmark.folder to another folder."
            )
        if file.is_file():
            log.info("%s, seed %d: complete from an earlier run (%s).", self.method, self.seed, file)
            return load_assessor(file)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(recipe) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        last = self.folder / "checkpoints" / "last.ckpt"
        resume = [f"resume={last}"] if last.is_file() else []
        log.info("%s, seed %d: training%s.", self.method, self.seed, " goes on" if resume else "")
        command = [*script_command("train"), *self.overrides, *resume, f"hydra.run.dir={self.folder}"]
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


def run(config: DictConfig) -> float:
    """Train or load, evaluate, write tables, plots and panels; returns the FP/FN mIoU of the main method on the first part."""
    settings = build.plain(config.benchmark)
    # As everywhere, null drops an entry, for instance one that a file of one's own has from the benchmark that it starts from.
    for key in ("trained", "stored", "parts"):
        settings[key] = {name: value for name, value in settings[key].items() if value is not None}
    parts = [
        Part(name, tuple(_listed(part["split"])), tuple(_listed(part["source"])), part["unseen"])
        for name, part in settings["parts"].items()
    ]
    methods = {**settings["trained"], **settings["stored"]}
    if settings["main"] not in methods:
        raise ConfigError(f"benchmark.main must be one of {', '.join(methods)}, not {settings['main']!r}.")
    splits = list(dict.fromkeys(split for part in parts for split in part.splits))
    data = build.data(config, num_workers=config.num_workers, test_split=splits)
    data.test_sources = list(dict.fromkeys(source for part in parts for source in part.sources))
    data.wanted_sources = build.as_list(settings["sources"])
    candidates = _candidates(settings, data, parts)
    rows = _judge(config, data, with_baselines(config, data, candidates, build.as_list(config.baselines)), parts)
    split_of = {tile.name: split for split in splits for tile in data.tileset.tiles(split)}
    folder = Path(HydraConfig.get().runtime.output_dir)
    by_method: dict[str, list[Sequence[MaskRow]]] = {}
    for name, found in rows.items():
        by_method.setdefault(name.partition(RUN_OF)[0], []).append(found)
    results = {part.name: {method: part.results(runs, split_of) for method, runs in by_method.items()} for part in parts}
    Console(width=170).print(benchmark_table(results, settings["seeds"]))
    about = {"version": __version__, "benchmark": settings, "dataset": build.plain(config.dataset)}
    write_benchmark(folder, parts, by_method, split_of, results, about)
    run_of = f"{RUN_OF}{settings['seeds'][0]}" if settings["main"] in settings["trained"] else ""
    first = candidates[f"{settings['main']}{run_of}"]
    write_extreme_panels(
        folder / "panels", first, data, parts[0].select(by_method[settings["main"]][0], split_of), settings["panels"]
    )
    print(f"Benchmark: {folder / 'benchmark.md'}, benchmark.csv, review.png, reliability.png, panels/")
    return results[parts[0].name][settings["main"]]["fp_fn_miou"][0]


def _judge(
    config: DictConfig, data: AssessmentData, methods: Mapping[str, Candidate], parts: Sequence[Part]
) -> dict[str, list[MaskRow]]:
    """A row per mask of the parts by method; of each split only the sources that some part reports."""
    sources: dict[str, list[str]] = {}
    for part in parts:
        for split in part.splits:
            sources[split] = list(dict.fromkeys([*sources.get(split, ()), *part.sources]))
    rows: dict[str, list[MaskRow]] = {name: [] for name in methods}
    every = data.test_split, data.test_sources
    for split, names in sources.items():
        data.test_split, data.test_sources = split, names
        for name, module in evaluate_masks(config, data, methods).items():
            rows[name] += module.rows
    data.test_split, data.test_sources = every
    return rows


def _candidates(settings: Mapping[str, Any], data: AssessmentData, parts: Sequence[Part]) -> dict[str, Candidate]:
    """Assessors by method, those of several trainings as `<method>#<seed>`.

    Raises:
        RequestError: if a training fails, or something has been learned from that is to be reported as unseen.
    """
    trainings = _trainings(settings)
    trained = zip(trainings, train_all(trainings, settings["jobs"]), strict=True)
    loaded = {f"{training.method}{RUN_OF}{training.seed}": assessor for training, assessor in trained}
    loaded |= {name: load_assessor(path) for name, path in settings["stored"].items()}
    for assessor in loaded.values():
        refuse_leaks(assessor, data, parts)
    return {name: Candidate.of(assessor) for name, assessor in loaded.items()}


def _trainings(settings: Mapping[str, Any]) -> list[Training]:
    hydra = HydraConfig.get()
    passed = [
        override
        for override in hydra.overrides.task
        if override.lstrip("+~").partition("=")[0].partition(".")[0] in SHARED_KEYS and not override.startswith("dataset=")
    ]
    passed.insert(0, f"dataset={hydra.runtime.choices['dataset']}")
    return [
        Training(
            method,
            seed,
            (*settings["training"], *own, *passed, f"seed={seed}", "evaluate=false"),
            Path(settings["folder"]) / method / f"seed{seed}",
        )
        for method, own in settings["trained"].items()
        for seed in settings["seeds"]
    ]


def train_all(trainings: Sequence[Training], jobs: int) -> list[LoadedAssessor]:
    """Run all trainings, `jobs` of them side by side, which share the cores; gives the assessors in their order.

    Raises:
        ConfigError: if `jobs` is not at least 1.
        RequestError: see `Training.run`; those that are under way end first, no further one is begun.
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
    """See that nothing an assessor has learned from, was chosen or calibrated on, is about to be reported as unseen.

    Raises:
        RequestError: names the first tile or source.
    """
    training = loaded.description.training
    if "trained_on" not in training:
        raise RequestError("The assessor does not say which tiles it has seen; train it anew.")
    seen = {*training["trained_on"], *training["selected_on"]}
    groups = {tile.group for tile in data.tileset.tiles("train") if tile.key in seen}
    for tile in data.test_tiles():
        if tile.key in seen or tile.group in groups:
            raise RequestError(f"The tile {tile.name} took part in training and must not be reported; choose another split.")
    learned = {*training["sources"], *training["calibration_sources"]}
    for part in parts:
        if part.unseen_sources and (both := sorted(learned & set(part.sources))):
            raise RequestError(f"Masks of {both[0]} took part in training and must not be reported as unseen.")


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
