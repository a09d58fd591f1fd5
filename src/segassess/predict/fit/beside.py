"""Folds trained side by side, in processes of this machine; `predict.cluster` does it by the workers of a Dask cluster."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from segassess.errors import OutputError, SegAssessError
from segassess.interrupts import raise_if_interrupted

# Called with the fold, the steps done and their number, 0 while that is unknown.
OnFold = Callable[[int, int, int], None]
# Seconds to wait for a report before looking whether the processes live.
_PATIENCE = 0.5


class Trainable(Protocol):
    """Folds to train by number; see `folds.Folds`."""

    @property
    def folder(self) -> Path:
        """Keeps the networks."""

    def train_one(self, fold: int, seconds: float, on_step: OnFold) -> None:
        """Train and keep the network of a fold."""


class TrainsBeside(Protocol):
    """Trains folds side by side."""

    @property
    def workers(self) -> int:
        """So many folds at once."""

    def train(self, folds: Trainable, numbers: Sequence[int], seconds: float, on_step: OnFold) -> None:
        """Train folds by number, each in about so many seconds; raises as `FoldTraining.run` does, OutputError if one dies."""


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, which share torch's threads."""

    workers: int

    def train(self, folds: Trainable, numbers: Sequence[int], seconds: float, on_step: OnFold) -> None:
        """See `TrainsBeside`."""
        # Processes are spawned, because a fork of a process with threads may hang.
        context = multiprocessing.get_context("spawn")
        reports: Any = context.Queue()
        at_once = min(self.workers, len(numbers))
        threads = max(1, torch.get_num_threads() // at_once)
        waiting = list(numbers)
        running: dict[int, Any] = {}
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    fold = waiting.pop(0)
                    running[fold] = context.Process(
                        target=_in_process, args=(folds, fold, seconds, threads, os.getpid(), reports), daemon=True
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


def _in_process(folds: Trainable, fold: int, seconds: float, threads: int, parent: int, reports: Any) -> None:
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
