"""`evaluate.py experiment=benchmark`: the assessor and every baseline on the same masks, over several seeds.

`train.py` trains each method in a process and a folder of its own; a repeated command resumes and keeps complete trainings.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from segassess.cli import build, build_training
from segassess.cli.evaluate import fitted_methods
from segassess.data.datamodule import AssessmentData
from segassess.data.tiles import Tile
from segassess.errors import ConfigError
from segassess.evaluation.benchmark import Training, refuse_leaks, train_all
from segassess.evaluation.benchmark_tables import Part, benchmark_table, write_benchmark
from segassess.evaluation.extreme_panels import write_extreme_panels
from segassess.evaluation.methods import Candidate, Evaluator
from segassess.metrics.evaluation_metrics import MaskRow
from segassess.models.assessor.trained_assessor import LoadedAssessor, load_assessor
from segassess.version import __version__

# Separates the name of a method from the seed.
RUN_OF = "#"
# Overrides that the trainings inherit.
SHARED_KEYS = ("dataset", "paths", "held_out", "trainer")


def run(config: DictConfig) -> float:
    """Write tables, plots and panels; returns the FP/FN mIoU of the main method on the first part."""
    settings = build.plain(config.benchmark)
    # As everywhere, null drops an entry, for example one inherited from another benchmark.
    for key in ("trained", "stored", "parts"):
        settings[key] = {name: value for name, value in settings[key].items() if value is not None}
    parts = [
        Part(name, tuple(build.as_list(part["split"])), tuple(build.as_list(part["source"])), part["unseen"])
        for name, part in settings["parts"].items()
    ]
    methods = {**settings["trained"], **settings["stored"]}
    if settings["main"] not in methods:
        raise ConfigError(f"benchmark.main must be one of {', '.join(methods)}, not {settings['main']!r}.")
    splits = list(dict.fromkeys(split for part in parts for split in part.splits))
    data = build_training.data(config, num_workers=config.num_workers, test_split=splits)
    data.test_sources = list(dict.fromkeys(source for part in parts for source in part.sources))
    data.wanted_sources = build.as_list(settings["sources"])
    loaded = _loaded(settings, data, parts)
    candidates = {name: Candidate.of(assessor) for name, assessor in loaded.items()}
    run_of = f"{RUN_OF}{settings['seeds'][0]}" if settings["main"] in settings["trained"] else ""
    main = f"{settings['main']}{run_of}"
    tiles = partial(_tiles, data, parts)
    candidates |= fitted_methods(config, settings["main"], loaded[main], data, tiles, Path(settings["folder"]))
    evaluator = build_training.evaluator(config, data)
    rows = _judge(evaluator, evaluator.with_baselines(candidates, build.as_list(config.baselines)), parts)
    split_of = {tile.name: split for split in splits for tile in data.tileset.tiles(split)}
    folder = Path(HydraConfig.get().runtime.output_dir)
    by_method: dict[str, list[Sequence[MaskRow]]] = {}
    for name, found in rows.items():
        by_method.setdefault(name.partition(RUN_OF)[0], []).append(found)
    results = {part.name: {method: part.results(runs, split_of) for method, runs in by_method.items()} for part in parts}
    Console(width=180).print(benchmark_table(results, settings["seeds"]))
    about = {"version": __version__, "benchmark": settings, "dataset": build.plain(config.dataset)}
    write_benchmark(folder, parts, by_method, split_of, results, about)
    write_extreme_panels(
        folder / "panels", candidates[main], data, parts[0].select(by_method[settings["main"]][0], split_of), settings["panels"]
    )
    print(f"Benchmark: {folder / 'benchmark.md'}, benchmark.csv, review.png, reliability.png, panels/")
    return results[parts[0].name][settings["main"]]["fp_fn_miou"][0]


def _judge(evaluator: Evaluator, methods: Mapping[str, Candidate], parts: Sequence[Part]) -> dict[str, list[MaskRow]]:
    """Rows of the masks by method; of each split only the sources that a part reports."""
    sources: dict[str, list[str]] = {}
    for part in parts:
        for split in part.splits:
            sources[split] = list(dict.fromkeys([*sources.get(split, ()), *part.sources]))
    rows: dict[str, list[MaskRow]] = {name: [] for name in methods}
    data = evaluator.data
    every = data.test_split, data.test_sources
    for split, names in sources.items():
        data.test_split, data.test_sources = split, names
        for name, module in evaluator.evaluate_masks(methods).items():
            rows[name] += module.rows
    data.test_split, data.test_sources = every
    return rows


def _tiles(data: AssessmentData, parts: Sequence[Part]) -> dict[str, list[Tile]]:
    """The tiles that parts report, by source."""
    every, tiles = data.test_split, dict[str, dict[str, Tile]]()
    for part in parts:
        data.test_split = part.splits
        for source in part.sources:
            tiles.setdefault(source, {}).update({tile.name: tile for tile in data.tiles_of(source)})
    data.test_split = every
    return {source: list(named.values()) for source, named in tiles.items()}


def _loaded(settings: Mapping[str, Any], data: AssessmentData, parts: Sequence[Part]) -> dict[str, LoadedAssessor]:
    """Assessors by method, trained ones as `<method>#<seed>`; refuses any that learned from an unseen part."""
    trainings = _trainings(settings)
    trained = zip(trainings, train_all(trainings, settings["jobs"]), strict=True)
    loaded = {f"{training.method}{RUN_OF}{training.seed}": assessor for training, assessor in trained}
    loaded |= {name: load_assessor(path) for name, path in settings["stored"].items()}
    for assessor in loaded.values():
        refuse_leaks(assessor, data, parts)
    return loaded


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
