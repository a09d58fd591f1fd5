"""LightningModules around an assessor: one trains it, one evaluates it (or any baseline)."""

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
from segassess.metrics.evaluation import ALL, EvaluationMetrics, MaskRow, all_ranks
from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline
from segassess.models.calibration import Calibration
from segassess.options.optimizer import ScheduleSettings
from segassess.quality import Decoding
from segassess.training.finite import require_finite
from segassess.training.losses import AssessorLoss
from segassess.training.online_ams import OnlineAms

MONITORED = "valid/fp_fn_miou"
# Metrics over all sources that a validation logs.
_VALIDATED = (
    "fp_fn_miou",
    *(f"{name.lower()}_iou" for name in quality.CLASS_NAMES),
    "mean_iou",
    "error_f1",
    "iou_mae",
    "iou_spearman",
)
OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class MaskAssessor(Protocol):
    """What an assessor and every baseline answer."""

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """See `Assessor.encode_image`."""

    def assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """See `Assessor.assess`."""


def assess_batch(assessor: MaskAssessor, batch: Batch) -> AssessorOutput:
    """Assess a batch; an image that all masks share is encoded once."""
    image = batch.image[:1] if batch.one_image else batch.image
    features = assessor.encode_image(image)
    if isinstance(assessor, Baseline):
        return assessor.assess_batch(features, batch)
    return assessor.assess(features, batch.mask)


@dataclass(frozen=True)
class Schedule(ScheduleSettings):
    """How the learning rate goes: see `ScheduleSettings`, and `configure` for what Lightning makes of it."""

    def configure(self, module: L.LightningModule, factory: OptimizerFactory, monitor: str) -> dict[str, Any]:
        """What `configure_optimizers` returns.

        Args:
            module: attached to a trainer; all of its trainable parameters are optimised.
            factory: of the optimizer.
            monitor: the metric of the plateau.
        """
        optimizer = factory([parameter for parameter in module.parameters() if parameter.requires_grad])
        if self.name == "constant":
            return {"optimizer": optimizer}
        if self.name == "halve_on_plateau":
            rates = [group["lr"] / 4 for group in optimizer.param_groups]
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, mode="max", factor=0.5, patience=1, threshold=0.0, min_lr=rates
            )
            # Between validations there is no new value to compare.
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
        # From the first to the last step, so that neither of them is taken with a rate of zero.
        return lambda step: (step + 1) / (steps + 1)

    @staticmethod
    def _done_by_time(trainer: L.Trainer) -> Callable[[int], float]:
        timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
        remaining = timers[0].time_remaining() if timers else None
        if remaining is None:
            raise ConfigError("optimizer.schedule.by=time needs trainer.max_time.")
        # Before the first step nothing has elapsed; also right for a resumed run, whose timer goes on.
        whole = remaining + timers[0].time_elapsed()
        return lambda step: timers[0].time_elapsed() / whole


class AssessorModule(L.LightningModule):
    """Trains an assessor.

    Args:
        assessor: the network.
        loss: the training loss; its `decoding` is also used for validation.
        optimizer: makes the optimizer from the trainable parameters.
        schedule: of the learning rate.
        sources: training sources, on whose validation tiles FP/FN mIoU selects the checkpoint.
        description: primitives that a checkpoint carries (architecture, data, sources), so that it can be rebuilt.
        online: draws the masks of training batches in the step itself; None where batches come with masks.
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
        # Primitives only: anything else makes a checkpoint that a weights-only load refuses.
        self.save_hyperparameters({"description": dict(description)})
        self.assessor = assessor
        self.online = online
        self.loss = loss
        self.optimizer_factory = optimizer
        self.schedule = schedule
        self.metrics = EvaluationMetrics(sources)
        # Number of optimizer steps before the last validation.
        self.validated_at = 0

    def forward(self, batch: Batch) -> AssessorOutput:
        """Assess a batch."""
        return self.assessor(batch.image, batch.mask)  # type: ignore[no-any-return]

    def on_fit_start(self) -> None:
        """Move what is not a submodule."""
        if self.online is not None:
            self.online.to(self.device)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch; every term is logged."""
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
        """Add a tile to the validation metrics; gives its quality probabilities (B, 4, H, W) to whoever wants to show them."""
        return _update(self.metrics, assess_batch(self.assessor, batch), batch, self.loss.decoding)

    def on_validation_epoch_end(self) -> None:
        """Log pooled metrics, IoU of each class, and FP/FN mIoU of each source."""
        self.validated_at = self.trainer.global_step
        results = self.metrics.compute()
        pooled = results[ALL]
        for name in _VALIDATED:
            # A metric that nothing defines yet (no error predicted, none there) must not stop training: it counts as 0.
            value = pooled[name] if pooled[name] == pooled[name] else 0.0
            self.log(f"valid/{name}", value, prog_bar=name in ("fp_fn_miou", "fp_iou", "fn_iou"))
        for source in self.metrics.sources:
            value = results[source]["fp_fn_miou"]
            self.log(f"valid/{source}/fp_fn_miou", value if value == value else 0.0)
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """Optimizer over all trainable parameters, and the schedule."""
        return self.schedule.configure(self, self.optimizer_factory, MONITORED)


class EvaluationModule(L.LightningModule):
    """Evaluates an assessor or a baseline on `Trainer.test`.

    After the run `results` holds the metrics by source and `rows` one row per mask, of all ranks.

    Args:
        assessor: who judges.
        sources: of the masks.
        decoding: of the assessor.
        reference_protocol: see `EvaluationMetrics`.
        calibration: of the probabilities from which scores are estimated, and cuts of decisions; the identity by default.
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
        """Refuse what cannot be averaged over ranks.

        Raises:
            ConfigError: for the reference protocol on several processes.
        """
        if self.metrics.reference and self.trainer.world_size > 1:
            raise ConfigError("protocol=reference averages over batches in one process; use trainer.devices=1.")

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Add a tile."""
        _update(self.metrics, assess_batch(self.assessor, batch), batch, self.decoding, self.calibration)

    def on_test_epoch_end(self) -> None:
        """Compute and gather."""
        self.results = self.metrics.compute()
        self.rows = all_ranks(self.metrics.rows)
        self.metrics.reset()


def _update(
    metrics: EvaluationMetrics, output: AssessorOutput, batch: Batch, decoding: Decoding, calibration: Calibration | None = None
) -> Tensor:
    """Add a batch to metrics; gives the probabilities (B, 4, H, W) that decide."""
    if batch.truth is None:
        raise ValueError("An evaluation batch needs truth.")
    probabilities = quality.probabilities(output.quality_logits.float(), batch.mask, decoding)
    calibration = calibration or Calibration()
    decisive = calibration.for_decisions(probabilities)
    metrics.update(decisive, batch.mask, batch.truth, batch.valid, batch.name, batch.source, calibration(probabilities))
    return decisive
