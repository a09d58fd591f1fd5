"""Train the networks of all folds, one after another or side by side."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from segassess.models.safetensors_file import read_metadata, write_artifact
from segassess.options.fit import FitSettings
from segassess.predict.fit.beside import OnFold, TrainsBeside
from segassess.predict.fit.fitted_layer import load_fitted
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.fit.training import FoldTraining, kept_state
from segassess.raster import Rendering

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folds:
    """What to train: a network per fold of a layer, each kept in a file of `folder` once it is trained."""

    scenes: Sequence[LayerScene]
    rendering: Rendering
    classes: Sequence[str]
    settings: FitSettings
    folder: Path
    fingerprint: str  # of the layer and the settings
    device: torch.device
    earlier: Path | None = None  # folder of the networks of the round before

    def path(self, fold: int) -> Path:
        """Where the network of a fold is kept."""
        return self.folder / f"fold_{fold}.safetensors"

    def state(self, fold: int) -> Path:
        """Where the state of an interrupted training is kept."""
        return self.folder / f"fold_{fold}.state"

    def missing(self) -> list[int]:
        """Folds without a network of this very layer and these settings."""
        return [
            fold
            for fold in range(self.settings.folds)
            if not self.path(fold).is_file() or (read_metadata(self.path(fold)) or {}).get("fingerprint") != self.fingerprint
        ]

    def train(self, minutes: float, beside: TrainsBeside | None, on_step: OnFold) -> None:
        """Train what is missing, in about so many minutes, side by side or in turn; raises as `FoldTraining.run` does."""
        missing = self.missing()
        for fold in missing:
            if kept := kept_state(self.state(fold), self.fingerprint, self.device):
                log.info("The network of fold %d goes on after step %d.", fold, kept["done"])
        seconds = 60 * minutes / self.settings.folds
        if beside is not None:
            if missing:
                beside.train(self, missing, seconds * min(beside.workers, len(missing)), on_step)
            return
        for fold in missing:
            self.train_one(fold, seconds, on_step)

    def train_one(self, fold: int, seconds: float, on_step: OnFold) -> None:
        """Train and keep the network of a fold."""
        earlier = None if self.earlier is None else load_fitted(self.earlier, self.device)
        with Layer(self.scenes, self.rendering, self.classes) as layer:
            training = FoldTraining(layer, fold, self.settings, self.state(fold), self.fingerprint, self.device, earlier)
            trained = training.run(seconds, lambda done, steps: on_step(fold, done, steps))
        write_artifact(self.path(fold), trained.state_dict(), {"fingerprint": self.fingerprint, "fold": fold}, half=True)
        self.state(fold).unlink(missing_ok=True)
