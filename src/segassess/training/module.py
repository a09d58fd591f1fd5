"""LightningModules around an assessor: one trains it, one evaluates it (or any rival)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import lightning as L
import torch
from torch import Tensor, nn

from segassess import quality
from segassess.assessor.base import Assessor, AssessorOutput, ImageFeatures
from segassess.data.batch import Batch
from segassess.errors import ConfigError
from segassess.metrics.evaluation import ALL, EvaluationMetrics, MaskRow
from segassess.quality import Decoding
from segassess.training.losses import AssessorLoss

MONITORED = "valid/fp_fn_miou"
OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class MaskAssessor(Protocol):
    """What an assessor and every rival answer."""

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """See `Assessor.encode_image`."""

    def assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """See `Assessor.assess`."""


def assess_batch(assessor: MaskAssessor, batch: Batch) -> AssessorOutput:
    """Assess a batch; an image that all masks share is encoded once."""
    image = batch.image[:1] if batch.one_image else batch.image
    return assessor.assess(assessor.encode_image(image), batch.mask)


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes.

    Attributes:
        name: "constant"; "cosine" to zero over all steps; "halve_on_plateau", the reference's (halved after 2 and again after 4
            epochs without improvement, then never again).
        warmup: share in [0, 1) of all steps over which a cosine schedule rises linearly from zero.
    """

    name: Literal["constant", "cosine", "halve_on_plateau"] = "constant"
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ("constant", "cosine", "halve_on_plateau"):
            raise ConfigError(f"optimizer.schedule.name must be constant, cosine or halve_on_plateau, not {self.name!r}.")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"optimizer.schedule.warmup must lie in [0, 1), not {self.warmup}.")

    def configure(self, optimizer: torch.optim.Optimizer, steps: int) -> dict[str, Any]:
        """What `configure_optimizers` returns."""
        if self.name == "constant":
            return {"optimizer": optimizer}
        if self.name == "halve_on_plateau":
            rates = [group["lr"] / 4 for group in optimizer.param_groups]
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, mode="max", factor=0.5, patience=1, threshold=0.0, min_lr=rates
            )
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": MONITORED}}
        warmup = int(self.warmup * steps)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = (step - warmup) / max(1, steps - warmup)
            return 0.5 * (1 + float(torch.cos(torch.tensor(min(done, 1.0) * torch.pi))))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class AssessorModule(L.LightningModule):
    """Trains an assessor.

    Args:
        assessor: the network.
        loss: the training loss; its `decoding` is also used for validation.
        optimizer: makes the optimizer from the trainable parameters.
        schedule: of the learning rate.
        sources: training sources, on whose validation tiles FP/FN mIoU selects the checkpoint.
        description: primitives that a checkpoint carries (architecture, data, sources), so that it can be rebuilt.
    """

    def __init__(
        self,
        assessor: Assessor,
        loss: AssessorLoss,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        sources: Sequence[str],
        description: Mapping[str, Any],
    ) -> None:
        super().__init__()
        # Primitives only: anything else makes a checkpoint that a weights-only load refuses.
        self.save_hyperparameters({"description": dict(description)})
        self.assessor = assessor
        self.loss = loss
        self.optimizer_factory = optimizer
        self.schedule = schedule
        self.metrics = EvaluationMetrics(sources)

    def forward(self, batch: Batch) -> AssessorOutput:
        """Assess a batch."""
        return self.assessor(batch.image, batch.mask)  # type: ignore[no-any-return]

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch; every term is logged."""
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
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a tile to the validation metrics."""
        _update(self.metrics, assess_batch(self.assessor, batch), batch, self.loss.decoding)

    def on_validation_epoch_end(self) -> None:
        """Log pooled metrics and FP/FN mIoU of each source."""
        results = self.metrics.compute()
        pooled = results[ALL]
        for name in ("fp_fn_miou", "fp_iou", "fn_iou", "mean_iou", "error_f1", "iou_mae", "iou_spearman"):
            # A metric that nothing defines yet (no error predicted, none there) must not stop training: it counts as 0.
            value = pooled[name] if pooled[name] == pooled[name] else 0.0
            self.log(f"valid/{name}", value, prog_bar=name in ("fp_fn_miou", "fp_iou", "fn_iou"))
        for source in self.metrics.sources:
            value = results[source]["fp_fn_miou"]
            self.log(f"valid/{source}/fp_fn_miou", value if value == value else 0.0)
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """Optimizer over all trainable parameters, and the schedule."""
        optimizer = self.optimizer_factory([parameter for parameter in self.parameters() if parameter.requires_grad])
        return self.schedule.configure(optimizer, int(self.trainer.estimated_stepping_batches))


class EvaluationModule(L.LightningModule):
    """Evaluates an assessor or a rival on `Trainer.test`.

    After the run `results` holds the metrics by source and `rows` one row per mask, of all ranks.
    """

    def __init__(
        self, assessor: MaskAssessor, sources: Sequence[str], decoding: Decoding, reference_protocol: bool = False
    ) -> None:
        super().__init__()
        self.assessor = assessor
        self.decoding = decoding
        self.metrics = EvaluationMetrics(sources, reference_protocol)
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
        _update(self.metrics, assess_batch(self.assessor, batch), batch, self.decoding)

    def on_test_epoch_end(self) -> None:
        """Compute and gather."""
        self.results = self.metrics.compute()
        self.rows = self.metrics.rows
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered: list[list[MaskRow]] = [[] for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(gathered, self.rows)
            self.rows = [row for rows in gathered for row in rows]
        self.metrics.reset()


def _update(metrics: EvaluationMetrics, output: AssessorOutput, batch: Batch, decoding: Decoding) -> None:
    if batch.truth is None:
        raise ValueError("An evaluation batch needs truth.")
    probabilities = quality.probabilities(output.quality_logits.float(), batch.mask, decoding)
    metrics.update(probabilities, batch.mask, batch.truth, batch.valid, batch.name, batch.source)
