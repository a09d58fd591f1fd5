"""`train.py`: train an assessor and compare it with the baselines, or train or cross-fit a segmenter."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from rich.progress import track

from segassess import quality
from segassess.cli import build, build_training
from segassess.cli.evaluate import report
from segassess.cli.segmenter import crossfit, train_segmenter
from segassess.data.datamodule import AssessmentData
from segassess.data.sampling import TileKey, collate_tiles, region_weights
from segassess.data.tiles import Tile
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.methods import Candidate
from segassess.experiments.dashboard.board import Board
from segassess.experiments.dashboard.sheet import write_sheet
from segassess.files import only_one
from segassess.metrics.evaluation_metrics import ALL
from segassess.models.assessor.base import Assessor
from segassess.models.assessor.trained_assessor import (
    Description,
    checkpoint_file,
    load_assessor,
    read_description,
    save_assessor,
    with_mean_weights,
)
from segassess.models.calibration import Calibration, CalibrationFit
from segassess.models.segmenters.fitted import FULL, FittedSegmenter
from segassess.training.finite import require_finite_weights
from segassess.training.module import MONITORED, AssessorModule, assess_batch
from segassess.training.online_ams import OnlineAms
from segassess.training.resuming import refuse_other_settings, restore_best, resumable, resume_path, stored_description
from segassess.version import __version__

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float | None:
    """Run the task, alone in its folder; returns the objective of sweeps (higher is better)."""
    tasks: dict[str, Callable[[DictConfig], float | None]] = {
        "assessor": train_assessor,
        "segmenter": train_segmenter,
        "crossfit": crossfit,
    }
    folder = Path(HydraConfig.get().runtime.output_dir)
    # The other processes of a distributed training share the folder of the first.
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    with only_one(folder, instead="hydra.run.dir") if first else nullcontext():
        return tasks[config.task](config)


@build_training.closing_loggers()
def train_assessor(config: DictConfig) -> float | None:
    """Train; returns the best FP/FN mIoU on the validation tiles of the training sources."""
    L.seed_everything(config.seed, workers=True, verbose=False)
    folder = Path(HydraConfig.get().runtime.output_dir)
    _require_starts(config)
    data = build_training.data(
        config,
        sampling=build_training.sampling(config.sampling),
        num_workers=config.sampling.num_workers,
        train_sources=_wanted_sources(config),
        test_split=build.plain(config.split),
    )
    sources = data.train_sources
    if config.evaluate:
        _require_test_tiles(data)
    resume = None if config.resume is None else resume_path(Path(config.resume))
    if resume is not None:
        refuse_other_settings(resume, _settings(config), config.trainer.max_epochs)
    module, description = _module(config, data, sources, resume)
    trainer = build_training.recorded_trainer(config, folder)
    board = Board(folder, trainer.loggers)
    log.info("Training on %d tiles with masks of %s.", len(data.train_dataset()), ", ".join(sources))
    with resumable(folder, resume), build_training.interruptible(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    if _time_is_up(trainer):
        log.info("The time limit ended the training (trainer.max_time=%s).", config.trainer.max_time)
    best = restore_best(trainer, module.assessor, "assessor", resume, _last_score(trainer, module, data))
    if best is None and MONITORED in trainer.callback_metrics:
        best = float(trainer.callback_metrics[MONITORED])
    require_finite_weights(module.assessor)
    description = replace(description, calibration=_calibration(config, data, module.assessor))
    if trainer.is_global_zero:
        half = config.weights_dtype == "float16"
        save_assessor(folder / "assessor.safetensors", module.assessor, description, half=half)
        log.info("Assessor: %s", folder / "assessor.safetensors")
        board.checkpoint(folder / "assessor.safetensors")
    if config.evaluate:
        method = str(config.assessor.name)
        candidate = Candidate(module.assessor, config.decoding, description.calibration)
        evaluator = build_training.evaluator(config, data)
        evaluation = evaluator.evaluate({method: candidate}, build.as_list(config.baselines))
        about = {"version": __version__, "split": build.plain(config.split), "seed": config.seed, **description.as_dict()}
        report(evaluation, about, data, description.training["sources"], board)
        log.info("FP/FN mIoU on %s, all sources: %.3f", config.split, evaluation.results[method][ALL]["fp_fn_miou"])
    if trainer.is_global_zero and (sheet := write_sheet(folder)):
        log.info("Dashboard: %s", sheet)
    return best


def _time_is_up(trainer: L.Trainer) -> bool:
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    return any(left is not None and left <= 0 for left in (timer.time_remaining() for timer in timers))


def _settings(config: DictConfig) -> dict[str, Any]:
    """Settings that a resumed training must share with its first part."""
    settings = {
        key: build.plain(config[key]) for key in ("assessor", "encoder", "sampling", "loss", "optimizer", "decoding", "seed")
    }
    # These change only how fast batches come.
    settings["sampling"] = {key: value for key, value in settings["sampling"].items() if key not in ("num_workers", "cache")}
    return settings


def _require_starts(config: DictConfig) -> None:
    """Fail before data are read if starting weights are missing, of another composition than the config's, or given twice."""
    files = [checkpoint_file(file) for file in build.as_list(config.checkpoint)]
    if files and (weights := build.architecture(config)[2]) is not None:
        raise RequestError(f"{files[0]} holds an encoder, so encoder.weights={weights} would not be used; give only one.")
    for file in files:
        own = read_description(file)
        for group, its in (("assessor", own.assessor), ("encoder", own.encoder)) if own else ():
            if (chosen := config.get(group)) is not None and chosen.name != its["name"]:
                raise RequestError(
                    f"{file} has {group}={its['name']}, not {chosen.name}; choose that, or start from other weights."
                )


def _require_test_tiles(data: AssessmentData) -> None:
    """Fail before the training if there is nothing to evaluate on."""
    try:
        data.test_tiles()
    except RequestError as error:
        raise RequestError(f"{str(error).rstrip('.')}; or set evaluate=false to train without an evaluation.") from error


def _last_score(trainer: L.Trainer, module: AssessorModule, data: AssessmentData) -> float | None:
    """Score of the last weights of a training that ended after its last validation, as one limited by time does.

    Without it the end of the schedule, where the learning rate goes to zero, would be lost.
    """
    if module.validated_at == trainer.global_step or trainer.checkpoint_callback is None:
        return None
    with build_training.interruptible(trainer):
        scores = trainer.validate(module, datamodule=data, verbose=False)
    return next(iter(scores), {}).get(MONITORED)


def _wanted_sources(config: DictConfig) -> list[str] | None:
    """Configured training sources; online, by default all fitted segmenters but the held-out ones."""
    if config.sampling.online and "networks" not in config.sampling:
        raise ConfigError("sampling.online=true needs the folder sampling.networks; choose sampling=ams_online.")
    if config.sampling.sources is not None or not config.sampling.online:
        return None if config.sampling.sources is None else build.as_list(config.sampling.sources)
    fitted = sorted(path.parent.name for path in Path(config.sampling.networks).glob(f"*/{FULL}"))
    names = [name for name in fitted if name not in build.as_list(config.held_out)]
    if not names:
        raise RequestError(
            f"{config.sampling.networks} has no fitted segmenter that is not held out; make one with train.py task=crossfit."
        )
    return names


def _online(config: DictConfig, data: AssessmentData, sources: list[str]) -> OnlineAms | None:
    if not config.sampling.online:
        return None
    segmenters = [FittedSegmenter.load(Path(config.sampling.networks) / name, name) for name in sources]
    keys = {tile.name: tile.key for tile in data.training_tiles()}
    return OnlineAms(segmenters, keys, bool(config.sampling.cross_fit))


def _all_sources(sources: list[str], before: Sequence[str], file: Path, held_out: Sequence[str]) -> list[str]:
    """Sources of a training that starts from `file`, which learned from those `before`; refuses held-out ones."""
    if both := sorted(set(before) & set(held_out)):
        raise RequestError(
            f"{file} learned from masks of {both[0]}, which is in held_out; start from other weights, or do not hold it out."
        )
    return [*sources, *(source for source in before if source not in sources)]


def _calibration(config: DictConfig, data: AssessmentData, assessor: Assessor) -> Calibration:
    """Fit the calibration of a trained assessor and the cuts of its decisions, on the selection tiles."""
    if config.calibration.kind == "none" and not config.calibration.cuts:
        return Calibration()
    device = build.device(config.trainer, first=True)
    fit = CalibrationFit()
    assessor.eval().to(device)
    dataset = data.evaluation_dataset(data.selection_tiles(), _calibration_sources(config, data))
    weights = region_weights(dataset.tiles, data.sampling.region_balance)
    with torch.inference_mode():
        for index, weight in enumerate(track(weights, description="Calibrating", transient=True)):
            batch = collate_tiles([dataset[TileKey(index)]]).to(device)
            if batch.truth is None:
                raise RequestError(f"{batch.name[0]} has no ground truth to calibrate on.")
            logits = assess_batch(assessor, batch).quality_logits.float()
            probabilities = quality.probabilities(logits, batch.mask, config.decoding)
            fit.update(probabilities, batch.mask, batch.truth, batch.valid, float(weight))
    calibration = Calibration() if config.calibration.kind == "none" else fit.fit(config.calibration.kind)
    return replace(calibration, cuts=fit.cuts()) if config.calibration.cuts else calibration


def _calibration_sources(config: DictConfig, data: AssessmentData) -> list[str]:
    needless = config.calibration.kind == "none" and not config.calibration.cuts
    sources = [] if needless else build.as_list(config.calibration.sources) or data.train_sources
    if both := sorted(set(sources) & set(data.held_out)):
        raise RequestError(
            f"The source {both[0]} is in calibration.sources and in held_out; an unseen source must not calibrate."
        )
    return sources


def _without_places(node: Any) -> Any:
    """A `dataset` node without this machine's folders."""
    if not isinstance(node, dict):
        return node
    return {key: _without_places(value) for key, value in node.items() if key not in ("root", "masks_root")}


def _module(
    config: DictConfig, data: AssessmentData, sources: list[str], resume: Path | None
) -> tuple[AssessorModule, Description]:
    assessor_spec, encoder_spec, weights = build.architecture(config)
    if assessor_spec is None or encoder_spec is None:
        raise RequestError("Training needs assessor= and encoder=.")
    learned = sources
    files = [Path(file) for file in build.as_list(config.checkpoint)]
    if not files:
        assessor = build.new_assessor(assessor_spec, encoder_spec, weights)
    else:
        starts = [load_assessor(file, assessor=assessor_spec, encoder=encoder_spec) for file in files]
        assessor = with_mean_weights([start.assessor for start in starts]).train()
        for file, start in zip(files, starts, strict=True):
            learned = _all_sources(learned, start.description.training.get("sources", []), file, data.held_out)
    if resume is not None:
        before = stored_description(resume).get("training", {}).get("sources", [])
        learned = _all_sources(learned, before, resume, data.held_out)
    description = Description(
        assessor=assessor_spec,
        encoder=encoder_spec,
        decoding=config.decoding,
        training={
            "version": __version__,
            "dataset": _without_places(build.plain(config.dataset)),
            "sources": learned,
            "held_out": list(data.held_out),
            # Keys of tiles that must not be reported as unseen.
            "trained_on": [tile.key for tile in data.training_tiles()],
            "selected_on": [tile.key for tile in data.selection_tiles()],
            "calibration_sources": _calibration_sources(config, data),
            "seed": config.seed,
            "gsd_m": _gsd_range(data.training_tiles()),
        },
    )
    optimizer, schedule = build_training.optimizer(config.optimizer)
    loss = build_training.loss(config.loss, config.decoding)
    online = _online(config, data, sources)
    return AssessorModule(assessor, loss, optimizer, schedule, sources, description.as_dict(), online), description


def _gsd_range(tiles: Iterable[Tile]) -> list[float] | None:
    """Finest and coarsest ground sampling distance of the tiles that say theirs, in metres."""
    known = [tile.gsd for tile in tiles if tile.gsd is not None]
    return [min(known), max(known)] if known else None
