"""LightningModules that train an assessor and evaluate it, or any baseline."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor, nn

from segassess import quality
from segassess.data.batch import Batch
from segassess.errors import ConfigError
from segassess.metrics.evaluation_metrics import ALL, EvaluationMetrics, MaskRow, all_ranks
from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline
from segassess.models.calibration import Calibration
from segassess.options.optimizer import ScheduleSettings
from segassess.quality import Decoding
from segassess.training.finite import require_finite
from segassess.training.losses import AssessorLoss
from segassess.training.online_ams import OnlineAms

MONITORED = "valid/fp_fn_miou"
_VALIDATED = (  # metrics over all sources that validation logs
    "fp_fn_miou",
    *(f"{name.lower()}_iou" for name in quality.CLASS_NAMES),
    "mean_iou",
    "error_f1",
    "iou_mae",
    "iou_spearman",
)
OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class MaskAssessor(Protocol):
    """Interface of assessors and baselines."""

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """See `Assessor.encode_image`."""

    def assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """See `Assessor.assess`."""


def assess_batch(assessor: MaskAssessor, batch: Batch) -> AssessorOutput:
    """Assess a batch; an image shared by all masks is encoded once."""
    image = batch.image[:1] if batch.one_image else batch.image
    features = assessor.encode_image(image)
    if isinstance(assessor, Baseline):
        return assessor.assess_batch(features, batch)
    return assessor.assess(features, batch.mask)


@dataclass(frozen=True)
class Schedule(ScheduleSettings):
    """Turns `ScheduleSettings` into Lightning's schedule."""

    def configure(self, module: L.LightningModule, factory: OptimizerFactory, monitor: str) -> dict[str, Any]:
        """Result for `configure_optimizers`, over all trainable parameters; `monitor` is the metric of the plateau."""
        optimizer = factory([parameter for parameter in module.parameters() if parameter.requires_grad])
        if self.name == "constant":
            return {"optimizer": optimizer}
        if self.name == "halve_on_plateau":
            rates = [group["lr"] / 4 for group in optimizer.param_groups]
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, mode="max", factor=0.5, patience=1, threshold=0.0, min_lr=rates
            )
            # Only validations give a new value.
            every = module.trainer.check_val_every_n_epoch or 1
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": monitor, "frequency": every}}
        done = self._done_by_time(module.trainer) if self.by == "time" else self._done_by_steps(module.trainer)

        def factor(step: int) -> float:
            share = min(done(step), 1.0)
            if share < self.warmup:
                return share / self.warmup
            return 0.5 * (1 + math.cos(math.pi * (share - self.warmup) / (1 - self.warmup)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @staticmethod
    def _done_by_steps(trainer: L.Trainer) -> Callable[[int], float]:
        steps = max(1, int(trainer.estimated_stepping_batches))
        # Neither the first nor the last step has a rate of zero.
        return lambda step: (step + 1) / (steps + 1)

    @staticmethod
    def _done_by_time(trainer: L.Trainer) -> Callable[[int], float]:
        timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
        remaining = timers[0].time_remaining() if timers else None
        if remaining is None:
            raise ConfigError("optimizer.schedule.by=time needs trainer.max_time.")
        # A resumed run continues its timer.
        whole = remaining + timers[0].time_elapsed()
        return lambda step: timers[0].time_elapsed() / whole


class AssessorModule(L.LightningModule):
    """Trains an assessor.

    The `decoding` of the loss also holds for validation. FP/FN mIoU over the validation masks of `sources` selects the
    checkpoint, which carries `description` (primitives) so that it can be rebuilt. `online` draws the masks of training batches
    in the step.
    """

    def __init__(
        self,
        assessor: Assessor,
        loss: AssessorLoss,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        sources: Sequence[str],
        description: Mapping[str, Any],
        online: OnlineAms | None = None,
    ) -> None:
        super().__init__()
        # Primitives only, or a weights-only load refuses the checkpoint.
        self.save_hyperparameters({"description": dict(description)})
        self.assessor = assessor
        self.online = online
        self.loss = loss
        self.optimizer_factory = optimizer
        self.schedule = schedule
        self.metrics = EvaluationMetrics(sources)
        self.validated_at = 0  # optimizer steps before the last validation

    def forward(self, batch: Batch) -> AssessorOutput:
        """Assess a batch."""
        return self.assessor(batch.image, batch.mask)  # type: ignore[no-any-return]

    def on_fit_start(self) -> None:
        """Move the online segmenters, which are not submodules."""
        if self.online is not None:
            self.online.to(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note that a resumed run goes on after a validation."""
        self.validated_at = checkpoint["global_step"]

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch; logs every term."""
        if self.online is not None:
            batch = self.online(batch)
        if batch.truth is None:
            raise ValueError("A training batch needs truth.")
        terms = self.loss(self(batch), batch.mask, batch.truth, batch.valid)
        count = len(batch)
        for name, value in terms.items():
            self.log(
                f"train/{name}", value, prog_bar=name == "loss", on_step=True, on_epoch=True, batch_size=count, sync_dist=True
            )
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log("train/learning_rate", rate, on_step=True, on_epoch=False, batch_size=count)
        loss: Tensor = terms["loss"]
        require_finite(loss, self.trainer.global_step)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Update the validation metrics; returns quality probabilities (B, 4, H, W) for callbacks that show them."""
        return _update(self.metrics, assess_batch(self.assessor, batch), batch, self.loss.decoding)

    def on_validation_epoch_end(self) -> None:
        """Log pooled metrics, the IoU of each class, and the FP/FN mIoU of each source."""
        self.validated_at = self.trainer.global_step
        results = self.metrics.compute()
        pooled = results[ALL]
        for name in _VALIDATED:
            # An undefined metric (no error predicted, none present) counts as 0 and must not stop training.
            value = pooled[name] if pooled[name] == pooled[name] else 0.0
            self.log(f"valid/{name}", value, prog_bar=name in ("fp_fn_miou", "fp_iou", "fn_iou"))
        for source in self.metrics.sources:
            value = results[source]["fp_fn_miou"]
            self.log(f"valid/{source}/fp_fn_miou", value if value == value else 0.0)
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """See `Schedule.configure`."""
        return self.schedule.configure(self, self.optimizer_factory, MONITORED)


class EvaluationModule(L.LightningModule):
    """Evaluates an assessor or a baseline on `Trainer.test`.

    Afterwards, `results` holds the metrics by source and `rows` one row per mask, of all ranks. The calibration (default:
    identity) holds for the probabilities behind the scores, and its cuts for decisions. For `reference_protocol`, see
    `EvaluationMetrics`.
    """

    def __init__(
        self,
        assessor: MaskAssessor,
        sources: Sequence[str],
        decoding: Decoding,
        reference_protocol: bool = False,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__()
        self.assessor = assessor
        self.decoding = decoding
        self.calibration = calibration or Calibration()
        self.metrics = EvaluationMetrics(sources, reference_protocol, objects=True)
        self.results: dict[str, dict[str, float]] = {}
        self.rows: list[MaskRow] = []

    def on_test_start(self) -> None:
        """Raise ConfigError for the reference protocol on several processes, which cannot be averaged over ranks."""
        if self.metrics.reference and self.trainer.world_size > 1:
            raise ConfigError("protocol=reference averages over batches in one process; use trainer.devices=1.")

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Update the metrics."""
        own = self.assessor.calibrations(batch) if isinstance(self.assessor, Baseline) else None
        _update(self.metrics, assess_batch(self.assessor, batch), batch, self.decoding, own or [self.calibration] * len(batch))

    def on_test_epoch_end(self) -> None:
        """Compute and gather the results."""
        self.results = self.metrics.compute()
        self.rows = all_ranks(self.metrics.rows)
        self.metrics.reset()


def _update(
    metrics: EvaluationMetrics,
    output: AssessorOutput,
    batch: Batch,
    decoding: Decoding,
    calibrations: Sequence[Calibration] | None = None,
) -> Tensor:
    """Update metrics, with a calibration per mask; returns the probabilities (B, 4, H, W) that decide."""
    if batch.truth is None:
        raise ValueError("An evaluation batch needs truth.")
    probabilities = quality.probabilities(output.quality_logits.float(), batch.mask, decoding)
    calibrated = decisive = probabilities
    if calibrations is not None:
        each = [(calibration, one[None]) for calibration, one in zip(calibrations, probabilities, strict=True)]
        decisive = torch.cat([calibration.for_decisions(one) for calibration, one in each])
        calibrated = torch.cat([calibration(one) for calibration, one in each])
    metrics.update(decisive, batch.mask, batch.truth, batch.valid, batch.name, batch.source, calibrated)
    return decisive
