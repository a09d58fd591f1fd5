"""The segmenter's tasks: train one, cross-fit it, and draw its masks beside a data set."""

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from segassess.cli import build, build_training
from segassess.data.datamodule import SegmentationData, selection_tiles, training_tiles
from segassess.data.folds import divide
from segassess.data.tiles import Tile, TileSet
from segassess.errors import ConfigError, RequestError, SomeInputsFailed
from segassess.experiments.dashboard.board import Board
from segassess.models.segmenters.architectures import build_segmenter, resolved_spec
from segassess.models.segmenters.fitted import FULL, FittedSegmenter, fold_file
from segassess.models.segmenters.size_tables import SCORES, networks_table
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, read_description, save_segmenter
from segassess.outputs.tables import number
from segassess.predict.drawing import DrawnMasks, draw_masks
from segassess.training.finite import require_finite_weights
from segassess.training.resuming import refuse_other_settings, restore_best, resumable, resume_path, stored_description
from segassess.training.segmenter_module import SegmenterModule
from segassess.version import __version__

log = logging.getLogger(__name__)


def train_segmenter(config: DictConfig) -> float:
    """Train one network on all training tiles; returns its IoU on those that select."""
    tileset, share = build.tileset(config.dataset), config.sampling.selection_share
    train, valid = training_tiles(tileset, share), selection_tiles(tileset, share)
    resume = None if config.resume is None else resume_path(Path(config.resume))
    file = Path(config.networks) / FULL
    folder = Path(HydraConfig.get().runtime.output_dir)
    if resume is not None:
        settings = {key: build.plain(config[key]) for key in ("segmenter", "optimizer", "loss", "threshold", "seed")}
        refuse_other_settings(resume, settings, config.trainer.max_epochs)
    with resumable(folder, resume):
        description = _fit(config, train, valid, folder, file, resume)
    Console(width=120).print(networks_table([(Path(FULL).stem, description)]))
    if not config.trainer.fast_dev_run:
        log.info("Segmenter: %s", file)
    return float(description.training["valid"]["iou"])


def crossfit(config: DictConfig) -> float:
    """Train a network per fold and one on all tiles, then draw all masks; returns the IoU of the out-of-fold masks.

    Networks that are complete with the same settings are kept.
    """
    if config.resume is not None:
        raise RequestError("task=crossfit resumes by itself; repeat the same command without resume=.")
    if config.sampling.selection_share:
        raise ConfigError("task=crossfit selects its networks on the validation split; sampling.selection_share must be 0.")
    tileset = build.tileset(config.dataset)
    train, valid = tileset.learning_tiles("train"), tileset.learning_tiles("valid")
    splits = build.as_list(config.splits)
    for split in splits:
        tileset.tiles(split)  # fails for a missing split before the training
    folds = divide(train, config.folds, config.seed)
    parts = {FULL: train}
    for fold, left_out in enumerate(folds):
        names = {tile.name for tile in left_out}
        parts[fold_file(fold)] = [tile for tile in train if tile.name not in names]
    networks = Path(config.networks)
    for extra in sorted({path.name for path in networks.glob("fold*.safetensors")} - parts.keys()):
        raise RequestError(f"{networks / extra} belongs to a run with more folds; move the folder {networks} away first.")
    folder = Path(HydraConfig.get().runtime.output_dir)
    descriptions = {}
    for file, tiles in parts.items():
        if (kept := _complete(config, networks / file, tiles, valid)) is not None:
            log.info("%s is complete from an earlier run and kept; set overwrite=true to train it again.", networks / file)
            descriptions[file] = kept
            continue
        log.info("%s: %d of %d training tiles.", file.removesuffix(".safetensors"), len(tiles), len(train))
        descriptions[file] = _fit(config, tiles, valid, folder / file.removesuffix(".safetensors"), networks / file, None)
    if config.trainer.fast_dev_run or (torch.distributed.is_initialized() and torch.distributed.get_rank() != 0):
        return math.nan
    Console(width=120).print(networks_table((Path(file).stem, description) for file, description in descriptions.items()))
    return _draw_splits(config, tileset, splits, build.device(config.trainer, first=True)) if splits else math.nan


def draw(config: DictConfig) -> float:
    """Draw masks of the configured splits; returns the mask IoU in the first of them."""
    splits = build.as_list(config.split)
    if not splits:
        raise ConfigError(f"split must name at least one split, not {config.split}.")
    return _draw_splits(config, build.tileset(config.dataset), splits, build.device(config.trainer))


def _draw_splits(config: DictConfig, tileset: TileSet, splits: Sequence[str], device: torch.device) -> float:
    """Draw masks; if some tiles fail, SomeInputsFailed comes after all the others are done."""
    fitted = FittedSegmenter.load(Path(config.networks), str(config.segmenter.name))
    drawn = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, transient=True, disable=not config.trainer.enable_progress_bar) as progress:
        for split in splits:
            task = progress.add_task(f"{fitted.name}: masks of {split}", total=len(tileset.tiles(split)))
            drawn.append(
                draw_masks(
                    fitted,
                    tileset,
                    split,
                    device=device,
                    threshold=config.get("threshold"),
                    probabilities=bool(config.probabilities),
                    overwrite=bool(config.overwrite),
                    on_tile=lambda task=task: progress.advance(task),  # type: ignore[misc]
                )
            )
    _print_masks(fitted.name, drawn)
    print(f"Masks: {', '.join(str(tileset.mask_folder(split, fitted.name)) for split in splits)}; networks: {config.networks}")
    failures = [failure for part in drawn for failure in part.failures]
    for failure in failures:
        log.error("%s: %s", failure.name, failure.reason)
    if failures:
        raise SomeInputsFailed(f"{len(failures)} tiles have no mask: {failures[0].name}: {failures[0].reason}")
    return drawn[0].scores["iou"]


@build_training.closing_loggers()
def _fit(
    config: DictConfig, train: Sequence[Tile], valid: Sequence[Tile], folder: Path, file: Path, resume: Path | None
) -> SegmenterDescription:
    """Train a network in its own folder, and write it to `file`."""
    config = OmegaConf.merge(config, {"paths": {"run": str(folder)}})  # type: ignore[assignment]
    # Per network, so that a resumed cross-fitting gives the same networks as an uninterrupted one.
    L.seed_everything(config.seed, workers=True, verbose=False)
    data = SegmentationData(
        train, valid, sampling=build_training.sampling(config.sampling), num_workers=config.sampling.num_workers, seed=config.seed
    )
    spec = resolved_spec(build.plain(config.segmenter))
    loss = build_training.segmentation_loss(config.loss)
    optimizer, schedule = build_training.optimizer(config.optimizer)
    about = {"segmenter": spec, "data": _data(train, valid)}
    if resume is not None and stored_description(resume) != about:
        raise RequestError(
            f"{resume} belongs to another segmenter or learned from other tiles; resume with its original settings."
        )
    module = SegmenterModule(build_segmenter(spec), loss, config.threshold, optimizer, schedule, about)
    trainer = build_training.recorded_trainer(config, folder)
    with build_training.interruptible(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    restore_best(trainer, module.segmenter, "segmenter", resume)
    require_finite_weights(module.segmenter)
    with build_training.interruptible(trainer):
        scores = next(iter(trainer.validate(module, datamodule=data, verbose=False)), {})
    description = SegmenterDescription(
        spec,
        config.threshold,
        tuple(tile.key for tile in train),
        tuple(tile.key for tile in valid),
        {
            "version": __version__,
            "dataset": config.dataset.name,
            "seed": config.seed,
            "settings": _settings(config, train, valid),
            "data": about["data"],
            "valid": {name: float(scores.get(f"valid/{name}", math.nan)) for name in SCORES},
        },
    )
    # A trial run must not replace a trained network.
    if trainer.is_global_zero and not config.trainer.fast_dev_run:
        save_segmenter(file, module.segmenter, description)
        Board(folder, trainer.loggers).checkpoint(file)
    return description


def _settings(config: DictConfig, train: Sequence[Tile], valid: Sequence[Tile]) -> str:
    """Fingerprint of the settings that a network depends on."""
    parts = {key: build.plain(config[key]) for key in ("segmenter", "sampling", "loss", "optimizer", "seed", "threshold")}
    limits = ("max_epochs", "max_steps", "max_time", "limit_train_batches", "precision", "gradient_clip_val", "fast_dev_run")
    parts["trainer"] = {key: config.trainer[key] for key in limits}
    parts["tiles"] = [[tile.name for tile in tiles] for tiles in (train, valid)]
    return _fingerprint(parts)


def _data(train: Sequence[Tile], valid: Sequence[Tile]) -> str:
    """Fingerprint of keys and file sizes, which tells data sets of the same name apart."""

    def size(path: Path | None) -> int | None:
        return path.stat().st_size if path is not None and path.is_file() else None

    return _fingerprint([[(tile.key, size(tile.image), size(tile.truth)) for tile in tiles] for tiles in (train, valid)])


def _fingerprint(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _complete(config: DictConfig, file: Path, train: Sequence[Tile], valid: Sequence[Tile]) -> SegmenterDescription | None:
    """The network of an earlier run, or None if there is none or it is to be overwritten.

    Raises RequestError if it was made with other settings or from other data.
    """
    if config.overwrite or not file.is_file():
        return None
    description = read_description(file)
    if description.training.get("settings") != _settings(config, train, valid):
        raise RequestError(
            f"{file} was trained with other settings; set overwrite=true to replace it, or choose another networks=DIR."
        )
    data = _data(train, valid)
    if description.training.get("data", data) != data:
        raise RequestError(f"{file} was trained on other data; give each data set its own dataset.name or networks=DIR.")
    return description


def _print_masks(name: str, drawn: Sequence[DrawnMasks]) -> None:
    table = Table(title=f"Masks of {name}")
    for heading in ("split", "masks", "kept", "image seen by the network", *SCORES):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for part in drawn:
        seen = ", ".join(f"{count} {word}" for word, count in sorted(part.seen.items()))
        scores = [number(part.scores.get(score, math.nan)) for score in SCORES]
        table.add_row(part.split, str(part.masks), str(part.skipped), seen, *scores)
    Console(width=140).print(table)
