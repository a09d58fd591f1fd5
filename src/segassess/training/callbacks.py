"""Callbacks of training."""

import time
from typing import Any

import lightning as L
import torch

from segassess.data.batch import Batch
from segassess.interrupts import raise_if_interrupted


class EpochSeed(L.Callback):
    """Seeds torch by epoch and rank, so that a resumed run continues as an uninterrupted one would."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed torch's global generators."""
        torch.manual_seed(self.seed + 1_000_003 * trainer.current_epoch + 7919 * trainer.global_rank)


class StopWhenInterrupted(L.Callback):
    """Ends with the batch in which Ctrl-C was pressed, also where that got lost; see `segassess.interrupts`."""

    def on_train_batch_end(self, *unused: Any) -> None:
        """Look after a training step."""
        raise_if_interrupted()

    def on_validation_batch_end(self, *unused: Any) -> None:
        """Look after a validation step."""
        raise_if_interrupted()

    def on_test_batch_end(self, *unused: Any) -> None:
        """Look after a test step."""
        raise_if_interrupted()


class Pace(L.Callback):
    """Logs the speed of each epoch, and the learning rate of its last batch.

    `train/views_per_s` and `train/megapixels_per_s` count what the loader yields, over all processes, per second of loading and
    training, without validation. With `sampling=ams_online` each of these views becomes several in the step.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock; a run that is resumed does not start an epoch that had begun before."""
        self._views, self._pixels, self._seconds = 0, 0, 0.0
        self._since = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock again."""
        self.on_train_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int) -> None:
        """Keep the learning rate before a schedule changes it."""
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count a batch."""
        now = time.perf_counter()
        self._seconds += now - self._since
        self._since = now
        self._views += len(batch)
        self._pixels += batch.valid.numel()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave out validation within the epoch."""
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the pace."""
        if self._views:
            pl_module.log("train/learning_rate", self._rate)
            options: dict[str, Any] = {"sync_dist": True, "reduce_fx": "sum"}
            pl_module.log("train/views_per_s", self._views / self._seconds, **options)
            pl_module.log("train/megapixels_per_s", self._pixels / 1e6 / self._seconds, **options)
