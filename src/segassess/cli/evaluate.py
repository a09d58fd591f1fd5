"""`evaluate.py`: an assessor and baselines against the ground truth, on the same masks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from segassess.cli import build, build_training
from segassess.cli.predict import FIT
from segassess.data.datamodule import AssessmentData
from segassess.data.sources import available_sources
from segassess.data.tiles import Tile
from segassess.errors import RequestError
from segassess.evaluation.methods import Candidate, Evaluation
from segassess.evaluation.result_tables import COLUMNS, MAIN_METRIC, comparison_table, region_table, write_results
from segassess.experiments.dashboard.board import Board
from segassess.experiments.dashboard.evaluation import show_evaluation
from segassess.experiments.sweep import MISSING
from segassess.files import write_json
from segassess.metrics.evaluation_metrics import ALL
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.options.fit import FitSettings
from segassess.predict.progress import fit_progress
from segassess.version import __version__

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float:
    """Run the task; returns the assessor's FP/FN mIoU over all sources, or the task's main number."""
    name = "benchmark" if config.get("benchmark") is not None else config.task
    if name != "assessor":
        task: float = import_module(f"segassess.cli.{name}").run(config)
        return task
    data = build_training.data(config, num_workers=config.num_workers, test_split=build.plain(config.split))
    if config.source is not None:
        data.test_sources = build.as_list(config.source)
    if config.on_missing == "list":
        _note_missing_sources(data)
    loaded = build.stored_assessor(config)
    trained = loaded.description.training.get("sources", [])
    data.wanted_sources = _baseline_sources(data, trained)
    method = loaded.description.assessor["name"]
    seen = {*loaded.description.training.get("trained_on", ()), *loaded.description.training.get("selected_on", ())}
    if known := [tile.name for tile in data.test_tiles() if tile.key in seen]:
        log.warning("%d tiles took part in the training of %s, for example %s.", len(known), config.checkpoint, known[0])
    evaluator = build_training.evaluator(config, data)
    folder = Path(HydraConfig.get().runtime.output_dir)

    def tiles() -> dict[str, list[Tile]]:
        sources = data.test_source_names() if data.test_sources is None else data.test_sources
        return {source: data.tiles_of(source) for source in sources}

    fitted = fitted_methods(config, method, loaded, data, tiles, folder)
    evaluation = evaluator.evaluate({method: Candidate.of(loaded), **fitted}, build.as_list(config.baselines))
    about = {
        "version": __version__,
        "checkpoint": Path(config.checkpoint).name,
        "checkpoint_digest": loaded.digest,
        "decoding": loaded.description.decoding,
        "dataset": build.plain(config.dataset),
        "split": build.plain(config.split),
        "seed": config.seed,
        "trained_on": dict(loaded.description.training),
    }
    report(evaluation, about, data, trained)
    return float(evaluation.results[method][ALL]["fp_fn_miou"])


def fitted_methods(
    config: DictConfig,
    name: str,
    loaded: LoadedAssessor,
    data: AssessmentData,
    tiles: Callable[[], Mapping[str, Sequence[Tile]]],
    folder: Path,
) -> dict[str, Candidate]:
    """The methods of `fit=layer` with the named assessor, none without; `tiles` gives those to evaluate by source.

    Networks stay in `folder`.
    """
    options = build.plain(config.fit)
    if options["name"] == "none":
        return {}
    from segassess.evaluation.fitted_layers import fit_methods

    with fit_progress() as progress:
        return fit_methods(
            name, loaded, data, tiles(), FitSettings(**options), folder / FIT, build.device(config.trainer, first=True), progress
        )


def _baseline_sources(data: AssessmentData, trained: Sequence[str]) -> list[str] | None:
    """The assessor's own sources if all are present, else None: all but the held-out ones."""
    try:
        available = set(available_sources(data.training_tiles(), data.made)) - set(data.held_out)
    except RequestError:
        # Without a train split, baselines that learn are left out for this reason.
        return None
    return list(trained) if trained and set(trained) <= available else None


def _note_missing_sources(data: AssessmentData) -> None:
    """Evaluate the wanted sources that exist, and list the others in the run's `missing.json`."""
    available = data.test_source_names()
    wanted = available if data.test_sources is None else list(data.test_sources)
    missing = [source for source in wanted if source not in available]
    if wanted and len(missing) == len(wanted):
        raise RequestError(f"{data.tileset.root} has no masks of {', '.join(wanted)}; put them into seg_preds/<source>/.")
    data.test_sources = [source for source in wanted if source in available]
    if missing:
        reasons = {source: f"{data.tileset.root} has no masks of {source}." for source in missing}
        write_json(Path(HydraConfig.get().runtime.output_dir) / MISSING, {"sources": reasons})


def report(
    evaluation: Evaluation,
    about: Mapping[str, Any],
    data: AssessmentData,
    trained: Sequence[str],
    board: Board | None = None,
) -> None:
    """Print the table, and write files and figures into the run's folder (rank 0 only).

    `about` goes into `metrics.json`; sources not in `trained` count as unseen. Without a `board` figures are only files.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_rank() != 0:
        return
    folder = Path(HydraConfig.get().runtime.output_dir)
    unseen = [source for source in data.test_sources or () if source not in trained]
    splits = [data.test_split] if isinstance(data.test_split, str) else data.test_split
    title = f"{data.tileset.root.name}, split {' + '.join(splits)}, {about['decoding']} decoding"
    console = Console(width=160)
    console.print(comparison_table(evaluation.results, title, unseen))
    if len(next(iter(evaluation.regions.values()))) > 1:
        console.print(region_table(evaluation.regions, f"{COLUMNS[MAIN_METRIC]} by region, all sources"))
    write_results(folder, evaluation.results, evaluation.regions, evaluation.rows, {**about, "unseen": unseen})
    show_evaluation(board or Board(folder), f"split {' + '.join(splits)}", evaluation.results, evaluation.masks)
    print(f"Metrics: {folder / 'metrics.json'}, metrics.csv, tiles.csv, figures/, tables/")
