"""`evaluate.py`: an assessor and rivals against the truth, on the same tiles and the same masks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from segassess import __version__
from segassess.data.module import AssessmentData
from segassess.data.sampling import TileKey, collate_tiles
from segassess.data.sources import available_sources
from segassess.errors import ConfigError, RequestError
from segassess.metrics.evaluation import ALL
from segassess.pipelines import build
from segassess.quality import Decoding
from segassess.reporting.tables import Results, comparison_table, write_results
from segassess.rivals import Rival, build_rival
from segassess.training.module import EvaluationModule, MaskAssessor

log = logging.getLogger(__name__)
PROTOCOLS = ("ours", "reference")


@dataclass(frozen=True)
class Evaluation:
    """Results by method, source and metric, and rows by method."""

    results: Results
    rows: Mapping[str, Sequence[Mapping[str, Any]]]


def run(config: DictConfig) -> float:
    """Evaluate a stored assessor; returns its FP/FN mIoU over all sources."""
    loaded = build.stored_assessor(config)
    data = build.data(config, num_workers=config.num_workers, test_sources=None, test_split=config.split)
    if config.source is not None:
        data.test_sources = build.as_list(config.source)
    method = loaded.description.assessor["name"]
    evaluation = evaluate_methods(
        config, data, {method: loaded.assessor}, loaded.description.decoding, build.as_list(config.rivals)
    )
    about = {
        "version": __version__,
        "checkpoint": Path(config.checkpoint).name,
        "checkpoint_digest": loaded.digest,
        "decoding": loaded.description.decoding,
        "dataset": build.plain(config.dataset),
        "split": config.split,
        "seed": config.seed,
        "trained_on": dict(loaded.description.training),
    }
    trained = loaded.description.training.get("sources", [])
    report(evaluation, about, data, trained)
    return float(evaluation.results[method][ALL]["fp_fn_miou"])


def evaluate_methods(
    config: DictConfig, data: AssessmentData, assessors: Mapping[str, MaskAssessor], decoding: Decoding, rivals: Sequence[str]
) -> Evaluation:
    """Evaluate assessors and rivals on the test sources of a data module.

    Args:
        config: the keys trainer and protocol.
        data: where tiles and masks come from.
        assessors: by name in the results.
        decoding: of the assessors; rivals never say what is impossible.
        rivals: names of rivals; they are fitted on the train split first.
    """
    if config.protocol not in PROTOCOLS:
        raise ConfigError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {config.protocol!r}.")
    if data.test_sources is None:
        data.test_sources = available_sources(data.tileset, data.test_split, data.made)
    if not data.test_sources:
        raise RequestError(
            f"The split {data.test_split!r} of {data.tileset.root} has no masks to evaluate; put them into seg_preds/<source>/."
        )
    methods: dict[str, MaskAssessor] = dict(assessors)
    for name in rivals:
        rival = build_rival(name)
        try:
            fit_rival(rival, data)
        except RequestError as error:
            log.warning("%s is left out: %s", name, error)
            continue
        methods[name] = rival
    results, rows = {}, {}
    for name, method in methods.items():
        module = EvaluationModule(method, data.test_sources, decoding, config.protocol == "reference")
        trainer = build.trainer(config.trainer, logger=False, enable_checkpointing=False, callbacks=[])
        with build.interruptible(trainer):
            trainer.test(module, datamodule=data, verbose=False)
        results[name], rows[name] = module.results, [row.as_dict() for row in module.rows]
    return Evaluation(results, rows)


def fit_rival(rival: Rival, data: AssessmentData) -> None:
    """Fit a rival on whole training tiles with the training sources.

    Raises:
        RequestError: if there is no train split to learn from.
    """
    if not rival.learns:
        return
    dataset = data.evaluation_dataset("train", data.train_sources)
    for index in track(range(len(dataset)), description=f"Fitting {rival.name}", transient=True):
        rival.fit_batch(collate_tiles([dataset[TileKey(index)]]))
    rival.finish_fit()


def report(evaluation: Evaluation, about: Mapping[str, Any], data: AssessmentData, trained: Sequence[str]) -> None:
    """Print the table and write the files into the run's folder (rank 0 only)."""
    if torch.distributed.is_initialized() and torch.distributed.get_rank() != 0:
        return
    folder = Path(HydraConfig.get().runtime.output_dir)
    unseen = [source for source in data.test_sources or () if source not in trained]
    title = f"{data.tileset.root.name}, split {data.test_split}, {about['decoding']} decoding"
    Console(width=150).print(comparison_table(evaluation.results, title, unseen))
    write_results(folder, evaluation.results, evaluation.rows, about)
    print(f"Metrics: {folder / 'metrics.json'}, metrics.csv, tiles.csv")
