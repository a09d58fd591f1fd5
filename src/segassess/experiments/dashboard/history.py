"""A training's history: a row per epoch, and curves."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from segassess.evaluation.result_tables import write_csv
from segassess.experiments.dashboard.board import FIGURES, TABLES
from segassess.experiments.dashboard.history_plot import write_history_plot

NAME = "history"


class History(L.Callback):
    """Writes a row per epoch to `tables/history.csv` and draws `figures/history.png` when training ends, fails or is interrupted.

    A resumed training continues the table.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        # One row has the training and the validation of an epoch.
        self.rows: list[dict[str, float]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record a validation, once per step: restoring the best weights validates a step again."""
        if trainer.sanity_checking or any(name.startswith("valid/") for name in self._row(trainer)):
            return
        self._note(trainer, "valid/")
        if trainer.state.fn != TrainerFn.FITTING:
            self._draw(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the training of an epoch."""
        self._note(trainer, "train/")

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the curves."""
        self._draw(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Draw the curves so far."""
        self._draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Rows for a resumed run, as primitives for a weights-only load."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.rows = list(state_dict["rows"])

    def _row(self, trainer: L.Trainer) -> dict[str, float]:
        """The row of the current step."""
        if not self.rows or self.rows[-1]["step"] != trainer.global_step:
            self.rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step})
        return self.rows[-1]

    def _note(self, trainer: L.Trainer, prefix: str) -> None:
        """Record what was logged under a prefix, except values of single steps."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
        self._row(trainer).update(
            (name.removesuffix("_epoch"), value) for name, value in sorted(logged.items()) if not name.endswith("_step")
        )
        if trainer.is_global_zero:
            write_csv(self.folder / TABLES / f"{NAME}.csv", self.rows)

    def _draw(self, trainer: L.Trainer) -> None:
        if trainer.is_global_zero and self.rows:
            write_history_plot(self.folder / FIGURES / f"{NAME}.png", self.rows)
