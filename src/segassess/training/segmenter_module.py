"""The LightningModule that trains a segmenter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
from torch import Tensor
from torch.nn import functional as F

from segassess.data.batch import Batch
from segassess.errors import ConfigError
from segassess.metrics.segmentation import SegmentationMetrics
from segassess.models.segmenters.base import Segmenter
from segassess.training.finite import require_finite
from segassess.training.losses import dice_loss
from segassess.training.module import OptimizerFactory, Schedule

MONITORED = "valid/iou"


@dataclass(frozen=True)
class SegmentationLoss:
    """Weighted binary cross-entropy (mean over valid pixels) and Dice (per sample); a weight of 0 switches a term off."""

    cross_entropy: float = 1.0
    dice: float = 0.0

    def __post_init__(self) -> None:
        if min(self.cross_entropy, self.dice) < 0 or self.cross_entropy + self.dice == 0:
            raise ConfigError(f"loss.weights must be >= 0 with at least one > 0, not {vars(self)}.")

    def __call__(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Loss of logits against truth in {0, 1}, both float (B, 1, H, W), where valid bool (B, 1, H, W)."""
        logits, inside = logits.float(), valid.float()
        loss = logits.new_zeros(())
        if self.cross_entropy:
            pixelwise = F.binary_cross_entropy_with_logits(logits, truth, weight=inside, reduction="sum")
            loss = loss + self.cross_entropy * pixelwise / inside.sum().clamp(min=1)
        if self.dice:
            loss = loss + self.dice * dice_loss(logits.sigmoid(), truth, inside)
        return loss


class SegmenterModule(L.LightningModule):
    """Trains a segmenter on images and truth.

    Auxiliary logits get the same loss, weighted by `segmenter.auxiliary_weight`; `threshold` in (0, 1) is for validation;
    checkpoints carry `description` (primitives).
    """

    def __init__(
        self,
        segmenter: Segmenter,
        loss: SegmentationLoss,
        threshold: float,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        description: Mapping[str, Any],
    ) -> None:
        super().__init__()
        # Primitives only, or a weights-only load refuses the checkpoint.
        self.save_hyperparameters({"description": dict(description)})
        self.segmenter = segmenter
        self.loss = loss
        self.threshold = threshold
        self.optimizer_factory = optimizer
        self.schedule = schedule
        self.metrics = SegmentationMetrics()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch."""
        if batch.truth is None:
            raise ValueError("A training batch needs truth.")
        output = self.segmenter(batch.image)
        loss = self.loss(output.logits, batch.truth, batch.valid)
        for logits in output.auxiliary:
            loss = loss + self.segmenter.auxiliary_weight * self.loss(logits, batch.truth, batch.valid)
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(batch), sync_dist=True)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log("train/learning_rate", rate, on_step=True, on_epoch=False, batch_size=len(batch))
        require_finite(loss, self.trainer.global_step)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Update the validation metrics."""
        if batch.truth is None:
            raise ValueError("A validation batch needs truth.")
        self.metrics.update(self.segmenter.probability(batch.image) > self.threshold, batch.truth > 0, batch.valid)

    def on_validation_epoch_end(self) -> None:
        """Log the pooled metrics."""
        for name, value in self.metrics.compute().items():
            # Without objects in truth and masks the metric is undefined, which must not stop training.
            self.log(f"valid/{name}", value if value == value else 0.0, prog_bar=name in ("iou", "boundary_iou"))
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """See `Schedule.configure`."""
        return self.schedule.configure(self, self.optimizer_factory, MONITORED)
