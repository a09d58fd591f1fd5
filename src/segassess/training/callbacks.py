"""Callbacks of training."""

import lightning as L
import torch


class EpochSeed(L.Callback):
    """Seeds torch at the start of every training epoch, so that a resumed run continues as an undisturbed one would.

    Args:
        seed: of the run; each epoch and rank gets its own.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed the global generators of torch."""
        torch.manual_seed(self.seed + 1_000_003 * trainer.current_epoch + 7919 * trainer.global_rank)
