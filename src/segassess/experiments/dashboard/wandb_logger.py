"""Lightning's logger for Weights & Biases, with one meaning of "best" among its artifacts."""

from typing import Any, Literal

from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger

from segassess.errors import RequestError


class BestCheckpointLogger(WandbLogger):
    """Uploads only checkpoints that a metric selected; Lightning's logger would call the last state "best" too.

    `log_model` uploads checkpoints at the end, or each time with "all"; offline runs do not allow it.
    """

    def __init__(self, log_model: Literal["all"] | bool = False, **options: Any) -> None:
        super().__init__(log_model=log_model, **options)
        self.uploads = bool(log_model)
        # Lightning always passes this option, and W&B warns that it is obsolete.
        self._wandb_init.pop("anonymous", None)

    @property
    def experiment(self) -> Any:
        """The W&B run, started on first access.

        Raises:
            RequestError: if W&B refuses, for instance without a login.
        """
        from wandb.errors import Error

        try:
            return super().experiment
        except Error as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise RequestError(
                f"Weights & Biases cannot start a run ({reason}); log in with `wandb login`, or set logger=wandb_offline."
            ) from error

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Record a checkpoint that a metric selected."""
        if isinstance(checkpoint_callback, ModelCheckpoint) and checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)
