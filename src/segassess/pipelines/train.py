"""`train.py`: train an assessor, keep the best checkpoint, and compare it with the rivals on the test split."""

import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig

from segassess import __version__
from segassess.assessor.artifact import Description, load_assessor, save_assessor
from segassess.assessor.checkpoint import load_weights, read_tensors
from segassess.data.module import AssessmentData
from segassess.errors import ConfigError, RequestError
from segassess.metrics.evaluation import ALL
from segassess.pipelines import build
from segassess.pipelines.evaluate import evaluate_methods, report
from segassess.training.module import MONITORED, AssessorModule

log = logging.getLogger(__name__)

WEIGHTS_DTYPES = ("float32", "float16")


def run(config: DictConfig) -> float | None:
    """Train; returns the best FP/FN mIoU on the validation tiles of the training sources (the objective of sweeps)."""
    if config.weights_dtype not in WEIGHTS_DTYPES:
        raise ConfigError(f"weights_dtype must be one of {', '.join(WEIGHTS_DTYPES)}, not {config.weights_dtype!r}.")
    L.seed_everything(config.seed, workers=True, verbose=False)
    folder = Path(HydraConfig.get().runtime.output_dir)
    data = build.data(
        config,
        sampling=build.sampling(config.sampling),
        num_workers=config.sampling.num_workers,
        train_sources=None if config.sampling.sources is None else build.as_list(config.sampling.sources),
        test_split=config.split,
    )
    sources = data.train_sources
    resume = None if config.resume is None else resume_path(Path(config.resume))
    module, description = _module(config, data, sources)
    trainer = build.trainer(
        config.trainer, callbacks=build.callbacks(config.callbacks), logger=build.loggers(config.logger), default_root_dir=folder
    )
    log.info("Training on %d tiles with masks of %s.", len(data.train_dataset()), ", ".join(sources))
    try:
        with build.interruptible(trainer):
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except KeyboardInterrupt:
        if (folder / "checkpoints" / "last.ckpt").is_file():
            log.warning("Interrupted; the same command with resume=%s continues after the last validated epoch.", folder)
        raise
    best = _best_weights(trainer, module, resume)
    if trainer.is_global_zero:
        half = config.weights_dtype == "float16"
        save_assessor(folder / "assessor.safetensors", module.assessor, description, half=half)
        log.info("Assessor: %s", folder / "assessor.safetensors")
    if config.evaluate:
        method = str(config.assessor.name)
        evaluation = evaluate_methods(config, data, {method: module.assessor}, config.decoding, build.as_list(config.rivals))
        about = {"version": __version__, "split": config.split, "seed": config.seed, **description.as_dict()}
        report(evaluation, about, data, sources)
        log.info("FP/FN mIoU on %s, all sources: %.3f", config.split, evaluation.results[method][ALL]["fp_fn_miou"])
    return best


def resume_path(path: Path) -> Path:
    """The checkpoint to resume from: a file, or the last one of a run's folder.

    Raises:
        RequestError: if there is none.
    """
    file = path if path.is_file() else path / "checkpoints" / "last.ckpt"
    if not file.is_file():
        raise RequestError(
            f"There is nothing to resume at {path}; give resume= a run's folder with checkpoints/last.ckpt, or that file."
        )
    read_tensors(file)  # says in one sentence what is wrong with a damaged file
    return file


def _module(config: DictConfig, data: AssessmentData, sources: list[str]) -> tuple[AssessorModule, Description]:
    assessor_spec, encoder_spec, weights = build.architecture(config)
    if assessor_spec is None or encoder_spec is None:
        raise RequestError("Training needs assessor= and encoder=.")
    if config.checkpoint is None:
        assessor = build.new_assessor(assessor_spec, encoder_spec, weights)
    else:
        assessor = load_assessor(config.checkpoint, assessor=assessor_spec, encoder=encoder_spec).assessor.train()
    description = Description(
        assessor=assessor_spec,
        encoder=encoder_spec,
        decoding=config.decoding,
        training={
            "version": __version__,
            "dataset": {key: value for key, value in build.plain(config.dataset).items() if key != "root"},
            "sources": sources,
            "held_out": list(data.held_out),
            "seed": config.seed,
        },
    )
    optimizer, schedule = build.optimizer(config.optimizer)
    loss = build.loss(config.loss, config.decoding)
    return AssessorModule(assessor, loss, optimizer, schedule, sources, description.as_dict()), description


def _best_weights(trainer: L.Trainer, module: AssessorModule, resumed: Path | None) -> float | None:
    """Put the best checkpoint's weights into the module; returns its score, or the last one without a checkpoint."""
    callback: Any = trainer.checkpoint_callback
    candidates = [_best_of_run(resumed)] if resumed else []
    if isinstance(callback, ModelCheckpoint):
        candidates.append((callback.best_model_score, callback.best_model_path))
    scored = [(float(score), path) for score, path in candidates if score is not None and Path(path).is_file()]
    if scored:
        score, path = max(scored)
        load_weights(module.assessor, read_tensors(path), "own", file=path)
        return score
    last = trainer.callback_metrics.get(MONITORED)
    return float(last) if isinstance(last, torch.Tensor) else None


def _best_of_run(checkpoint: Path) -> tuple[torch.Tensor | None, str]:
    """Best score and its file, as a checkpoint remembers them.

    Lightning forgets the score when a run goes on in another folder, and would call the first resumed epoch the best.
    """
    states = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    state: dict[str, Any] = next((state for name, state in states.items() if name.startswith("ModelCheckpoint")), {})
    return state.get("best_model_score"), state.get("best_model_path", "")
