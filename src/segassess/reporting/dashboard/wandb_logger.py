"""Lightning's logger for Weights & Biases, with one meaning of "best" among its artifacts."""

from typing import Any, Literal

from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger


class BestCheckpointLogger(WandbLogger):
    """Of several checkpoint callbacks only those that select by a metric become artifacts.

    Lightning's own would call the last state "best" too, since its callback knows no better one.

    Args:
        log_model: whether checkpoints become artifacts, once at the end, or with "all" each time; not allowed offline.
        **options: of Lightning's logger.
    """

    def __init__(self, log_model: Literal["all"] | bool = False, **options: Any) -> None:
        super().__init__(log_model=log_model, **options)
        self.uploads = bool(log_model)

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Take note of a checkpoint that a metric has selected."""
        if isinstance(checkpoint_callback, ModelCheckpoint) and checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)
