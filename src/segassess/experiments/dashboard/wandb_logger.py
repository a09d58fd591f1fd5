"""Lightning's logger for Weights & Biases, with one meaning of "best" among its artifacts."""

from typing import Any, Literal

from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger

from segassess.errors import RequestError


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
        # Lightning always passes it on, and W&B warns that it means nothing any more.
        self._wandb_init.pop("anonymous", None)

    @property
    def experiment(self) -> Any:
        """The run of W&B, begun when it is first asked for.

        Raises:
            RequestError: if W&B does not let it begin, as without a login.
        """
        from wandb.errors import Error

        try:
            return super().experiment
        except Error as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise RequestError(
                f"Weights & Biases does not begin a run ({reason}); log in with `wandb login`, or give logger=wandb_offline."
            ) from error

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Take note of a checkpoint that a metric has selected."""
        if isinstance(checkpoint_callback, ModelCheckpoint) and checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)
