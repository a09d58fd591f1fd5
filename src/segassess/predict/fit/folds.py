"""Train the networks of all folds, one after another or side by side in processes."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segassess.errors import OutputError, SegAssessError
from segassess.interrupts import raise_if_interrupted
from segassess.models.safetensors_file import read_metadata, write_artifact
from segassess.options.fit import FitSettings
from segassess.predict.fit.fitted_layer import load_fitted
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.fit.training import FoldTraining
from segassess.raster import Rendering

# Called with the fold, the steps done and their number, 0 while that is unknown.
OnFold = Callable[[int, int, int], None]
# Seconds to wait for a report before looking whether the processes live.
_PATIENCE = 0.5


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

    def missing(self) -> list[int]:
        """Folds without a network of this very layer and these settings."""
        return [
            fold
            for fold in range(self.settings.folds)
            if not self.path(fold).is_file() or (read_metadata(self.path(fold)) or {}).get("fingerprint") != self.fingerprint
        ]

    def train(self, minutes: float, workers: int, on_step: OnFold) -> None:
        """Train what is missing, in about so many minutes with so many processes; raises as `FoldTraining.run` does."""
        missing = self.missing()
        workers = min(workers, len(missing))
        if workers > 1:
            self._side_by_side(missing, minutes * workers / self.settings.folds, workers, on_step)
            return
        for fold in missing:
            self.train_one(fold, 60 * minutes / self.settings.folds, on_step)

    def train_one(self, fold: int, seconds: float, on_step: OnFold) -> None:
        """Train and keep the network of a fold."""
        state = self.folder / f"fold_{fold}.state"
        earlier = None if self.earlier is None else load_fitted(self.earlier, self.device)
        with Layer(self.scenes, self.rendering, self.classes) as layer:
            training = FoldTraining(layer, fold, self.settings, state, self.fingerprint, self.device, earlier)
            trained = training.run(seconds, lambda done, steps: on_step(fold, done, steps))
        write_artifact(self.path(fold), trained.state_dict(), {"fingerprint": self.fingerprint, "fold": fold}, half=True)
        state.unlink(missing_ok=True)

    def _side_by_side(self, folds: Sequence[int], minutes: float, workers: int, on_step: OnFold) -> None:
        # Processes are spawned, because a fork of a process with threads may hang.
        context = multiprocessing.get_context("spawn")
        reports: Any = context.Queue()
        threads = max(1, torch.get_num_threads() // workers)
        waiting = list(folds)
        running: dict[int, Any] = {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    fold = waiting.pop(0)
                    running[fold] = context.Process(
                        target=_work, args=(self, fold, 60 * minutes, threads, os.getpid(), reports), daemon=True
                    )
                    running[fold].start()
                try:
                    fold, report = reports.get(timeout=_PATIENCE)
                except queue.Empty:
                    ended = [fold for fold, process in running.items() if process.exitcode is not None]
                    if ended and reports.empty():
                        code = running[ended[0]].exitcode
                        raise OutputError(
                            f"The training of fold {ended[0]} ended with exit code {code}; run it again to go on."
                        ) from None
                else:
                    if isinstance(report, Exception):
                        raise report
                    if report is None:
                        running.pop(fold).join()
                    else:
                        on_step(fold, *report)
                raise_if_interrupted()
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.join()


def _work(folds: Folds, fold: int, seconds: float, threads: int, parent: int, reports: Any) -> None:
    """Train a fold in a process of its own; puts steps, at last None, or what went wrong into `reports`."""
    # Ctrl-C reaches the parent too, which stops this process; states are kept on the way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)

    def report(number: int, done: int, steps: int) -> None:
        if os.getppid() != parent:  # nobody waits for this any more
            os._exit(1)
        reports.put((number, (done, steps)))

    try:
        folds.train_one(fold, seconds, report)
    except SegAssessError as error:
        reports.put((fold, error))
    else:
        reports.put((fold, None))
