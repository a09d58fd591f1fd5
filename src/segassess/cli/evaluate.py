"""`evaluate.py`: an assessor and baselines against the truth, on the same tiles and the same masks."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from segassess.cli import build
from segassess.data.module import AssessmentData
from segassess.data.sampling import TileKey, collate_tiles
from segassess.data.sources import available_sources
from segassess.errors import CheckpointError, ConfigError, RequestError
from segassess.evaluation.result_tables import (
    COLUMNS,
    MAIN_METRIC,
    RegionResults,
    Results,
    comparison_table,
    region_table,
    write_results,
)
from segassess.experiments.dashboard.board import Board
from segassess.experiments.dashboard.evaluation import show_evaluation
from segassess.experiments.sweep import MISSING
from segassess.files import atomic_path
from segassess.metrics.evaluation import ALL, MaskRow, metrics_by_region
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.baselines import Baseline, BaselineContext, baseline_class, build_baseline
from segassess.models.calibration import Calibration
from segassess.models.segmenters.fitted import FULL, FittedSegmenter
from segassess.quality import Decoding
from segassess.training.module import EvaluationModule, MaskAssessor
from segassess.version import __version__

log = logging.getLogger(__name__)
# Tasks that have a module of their own.
TASKS = ("damage", "scaling")


@dataclass(frozen=True)
class Candidate:
    """A method under evaluation.

    Attributes:
        assessor: an assessor or a baseline.
        decoding: of its quality probabilities; baselines never say what is impossible.
        calibration: of the probabilities from which scores are estimated, and cuts of decisions.
    """

    assessor: MaskAssessor
    decoding: Decoding = "consistent"
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def of(cls, loaded: LoadedAssessor) -> "Candidate":
        """A stored assessor, as its checkpoint describes it."""
        return cls(loaded.assessor, loaded.description.decoding, loaded.description.calibration)


@dataclass(frozen=True)
class Evaluation:
    """Results by method, source and metric; the same by method and region; a row per mask by method; regions by tile."""

    results: Results
    regions: RegionResults
    masks: Mapping[str, Sequence[MaskRow]]
    region_of: Mapping[str, str]

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Rows as plain dictionaries, by method."""
        return {
            name: [{"region": self.region_of[row.name], **row.as_dict()} for row in found] for name, found in self.masks.items()
        }


def run(config: DictConfig) -> float:
    """Do the task that the config names; returns the assessor's FP/FN mIoU over all sources, or the main number of the task."""
    if config.task in TASKS:
        task: float = import_module(f"segassess.cli.{config.task}").run(config)
        return task
    if config.benchmark is not None:
        # Imports this module.
        from segassess.cli import benchmark

        return benchmark.run(config)
    data = build.data(config, num_workers=config.num_workers, test_split=build.plain(config.split))
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
        log.warning("%d tiles took part in the training of %s, %s for instance.", len(known), config.checkpoint, known[0])
    evaluation = evaluate_methods(config, data, {method: Candidate.of(loaded)}, build.as_list(config.baselines))
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


def evaluate_methods(
    config: DictConfig, data: AssessmentData, candidates: Mapping[str, Candidate], baselines: Sequence[str]
) -> Evaluation:
    """Evaluate assessors and baselines on the test sources of a data module.

    Args:
        config: see `with_baselines` and `evaluate_masks`.
        data: likewise.
        candidates: likewise.
        baselines: likewise.

    Returns:
        A baseline that cannot judge all sources has results of those that it can, and none under "all", which would not compare.
    """
    modules = evaluate_masks(config, data, with_baselines(config, data, candidates, baselines))
    region_of = {tile.name: tile.region for tile in data.test_tiles()}
    results = {name: module.results for name, module in modules.items()}
    regions = {name: metrics_by_region(module.rows, region_of) for name, module in modules.items()}
    for name, module in modules.items():
        if module.metrics.sources != list(data.test_sources or ()):
            for by_source in (results[name], *regions[name].values()):
                by_source.pop(ALL, None)
    return Evaluation(results, regions, {name: module.rows for name, module in modules.items()}, region_of)


def with_baselines(
    config: DictConfig, data: AssessmentData, candidates: Mapping[str, Candidate], baselines: Sequence[str]
) -> dict[str, Candidate]:
    """The candidates, and after them the baselines that can be had.

    Args:
        config: the keys protocol, trainer, networks and sam.
        data: with the sources under evaluation in `test_sources` (None is made all that there are).
        candidates: by name in the results.
        baselines: names of baselines; they are fitted on the train split, and left out with a warning if they lack something.

    Raises:
        ConfigError: if there is no such baseline.
        RequestError: if there are no masks to evaluate.
    """
    if data.test_sources is None:
        data.test_sources = data.test_source_names()
    if not data.test_sources:
        raise RequestError(
            f"The split {data.test_split!r} of {data.tileset.root} has no masks to evaluate; put them into seg_preds/<source>/."
        )
    return {**candidates, **{name: Candidate(baseline) for name, baseline in fitted_baselines(config, data, baselines).items()}}


def evaluate_masks(config: DictConfig, data: AssessmentData, methods: Mapping[str, Candidate]) -> dict[str, EvaluationModule]:
    """Let every method judge the masks of the test sources of a data module.

    Args:
        config: the keys trainer and protocol.
        data: where tiles and masks come from; `test_sources` names the sources.
        methods: by name in the results.

    Returns:
        A module per method that can judge any of the sources, with its results, and a row per mask of those that it can judge.
    """
    every = list(data.test_sources or ())
    modules = {}
    for name, method in methods.items():
        if not (judged := judged_sources(method.assessor, every)):
            continue
        module = EvaluationModule(method.assessor, judged, method.decoding, config.protocol == "reference", method.calibration)
        trainer = build.trainer(config.trainer, logger=False, enable_checkpointing=False, callbacks=[])
        data.test_sources = judged
        try:
            with build.interruptible(trainer):
                trainer.test(module, datamodule=data, verbose=False)
        finally:
            data.test_sources = every
        modules[name] = module
    return modules


def _baseline_sources(data: AssessmentData, trained: Sequence[str]) -> list[str] | None:
    """Sources for baselines to learn from: the assessor's own, if all of them are there; else None, all but the held-out ones."""
    try:
        available = set(available_sources(data.training_tiles(), data.made)) - set(data.held_out)
    except RequestError:
        # Without a train split baselines that learn are left out, each with this reason.
        return None
    return list(trained) if trained and set(trained) <= available else None


def _note_missing_sources(data: AssessmentData) -> None:
    """Evaluate those of the wanted sources that exist, and write down the others as `missing.json` in the run's folder.

    Raises:
        RequestError: if there are no tiles, or none of the sources.
    """
    available = data.test_source_names()
    wanted = available if data.test_sources is None else list(data.test_sources)
    missing = [source for source in wanted if source not in available]
    if wanted and len(missing) == len(wanted):
        raise RequestError(f"{data.tileset.root} has no masks of {', '.join(wanted)}; put them into seg_preds/<source>/.")
    data.test_sources = [source for source in wanted if source in available]
    if missing:
        reasons = {source: f"{data.tileset.root} has no masks of {source}." for source in missing}
        with atomic_path(Path(HydraConfig.get().runtime.output_dir) / MISSING) as temporary:
            temporary.write_text(json.dumps({"sources": reasons}, indent=2) + "\n", encoding="utf-8")


def judged_sources(method: MaskAssessor, sources: Sequence[str]) -> list[str]:
    """Those of the sources whose masks a method can judge."""
    return [source for source in sources if not isinstance(method, Baseline) or method.judges(source)]


def fitted_baselines(config: DictConfig, data: AssessmentData, names: Sequence[str]) -> dict[str, Baseline]:
    """Baselines by name, fitted on the train split; one that lacks something is left out with a warning.

    Args:
        config: the keys trainer, networks and sam.
        data: with the sources under evaluation in `test_sources`.
        names: of baselines.

    Raises:
        ConfigError: if there is no baseline of a name.
        CheckpointError: if networks or SAM's checkpoint cannot be loaded.
    """
    if not names:
        return {}
    # A name that does not exist is refused before anything is loaded or fitted.
    classes = [baseline_class(name) for name in names]
    context = _baseline_context(config, data, any(kind.asks_segmenters for kind in classes))
    device = build.device(config.trainer, first=True)
    baselines: dict[str, Baseline] = {}
    for name in names:
        try:
            baseline = build_baseline(name, context)
            if not judged_sources(baseline, data.test_sources or ()):
                raise RequestError(f"it can judge no mask of {', '.join(data.test_sources or ())}.")
            fit_baseline(baseline, data, device)
        except (ConfigError, CheckpointError):
            raise
        except RequestError as error:
            log.warning("%s is left out: %s", name, error)
            continue
        baselines[baseline.name] = baseline
    return baselines


def _baseline_context(config: DictConfig, data: AssessmentData, asks_segmenters: bool) -> BaselineContext:
    """What baselines may ask for; networks are loaded only if a baseline asks for them, and only those of sources that occur."""
    try:
        learned, tiles = data.train_sources, data.training_tiles()
    except RequestError:
        # Baselines that learn will say so themselves.
        learned, tiles = [], []
    networks = {}
    if asks_segmenters:
        found = sorted(path.parent for path in Path(config.networks).glob(f"*/{FULL}"))
        occurring = {*learned, *(data.test_sources or ())}
        networks = {path.name: FittedSegmenter.load(path, path.name) for path in found if path.name in occurring}
    return BaselineContext(
        networks=networks,
        learned_sources=learned,
        keys={tile.name: tile.key for tile in tiles},
        judged_keys=[tile.key for tile in data.test_tiles()],
        sam_checkpoint=None if config.sam.checkpoint is None else Path(config.sam.checkpoint),
        sam_type=config.sam.type,
    )


def fit_baseline(baseline: Baseline, data: AssessmentData, device: torch.device) -> None:
    """Fit a baseline on whole training tiles with the training sources; batches come on `device`.

    Raises:
        RequestError: if there is no train split to learn from.
    """
    if not baseline.learns:
        return
    dataset = data.evaluation_dataset(data.training_tiles(), data.train_sources)
    for index in track(range(len(dataset)), description=f"Fitting {baseline.name}", transient=True):
        baseline.fit_batch(collate_tiles([dataset[TileKey(index)]]).to(device))
    baseline.finish_fit()


def report(
    evaluation: Evaluation,
    about: Mapping[str, Any],
    data: AssessmentData,
    trained: Sequence[str],
    board: Board | None = None,
) -> None:
    """Print the table, and write files and figures into the run's folder (rank 0 only).

    Args:
        evaluation: what is reported; its first method is the one under evaluation.
        about: what was evaluated, for `metrics.json`.
        data: likewise.
        trained: sources that the method has learned from.
        board: where figures are shown; None shows them in the folder only.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_rank() != 0:
        return
    folder = Path(HydraConfig.get().runtime.output_dir)
    unseen = [source for source in data.test_sources or () if source not in trained]
    splits = [data.test_split] if isinstance(data.test_split, str) else data.test_split
    title = f"{data.tileset.root.name}, split {' + '.join(splits)}, {about['decoding']} decoding"
    console = Console(width=150)
    console.print(comparison_table(evaluation.results, title, unseen))
    if len(next(iter(evaluation.regions.values()))) > 1:
        console.print(region_table(evaluation.regions, f"{COLUMNS[MAIN_METRIC]} by region, all sources"))
    write_results(folder, evaluation.results, evaluation.regions, evaluation.rows, {**about, "unseen": unseen})
    show_evaluation(board or Board(folder), f"split {' + '.join(splits)}", evaluation.results, evaluation.masks)
    print(f"Metrics: {folder / 'metrics.json'}, metrics.csv, tiles.csv, figures/, tables/")
