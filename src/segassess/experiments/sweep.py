"""Hydra callbacks of sweeps: one lets a sweep go on where a run fails, one sums its runs up, one joins their results."""

import json
import math
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segassess.errors import CheckpointError, RequestError, SegAssessError
from segassess.experiments.exits import EXIT_SOME_FAILED, EXIT_WRONG_REQUEST, sentence, stop
from segassess.experiments.sweep_check import check_sweep

# In the folder of a run: that it is done, why it failed, or which data it did not find.
DONE = "done.json"
FAILED = "failed.json"
MISSING = "missing.json"
OVERRIDES = Path(".hydra") / "overrides.yaml"


class GoOn(Callback):
    """Notes why a run of a sweep failed, lets the others run, and ends the sweep with the exit code that this deserves.

    A run leaves `done.json` with its objective and how long it took, `failed.json`, or `missing.json` where `on_missing=list`
    allows that its data or its checkpoint are not there.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what cannot be swept, and remember when; a sweep may go into a folder with runs of an earlier one."""
        try:
            check_sweep(config, config.hydra)
        except RequestError as error:
            # Of other exceptions Hydra makes a warning.
            stop(error)
        self.started = time.time()
        _under_way[:] = [(self, config)]

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Forget what an earlier run in the same folder had noted."""
        for name in (DONE, FAILED, MISSING):
            (Path(config.hydra.runtime.output_dir) / name).unlink(missing_ok=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note how a run ended, in the process that ran it, and tell Hydra that all is well.

        Hydra would raise a failure when all runs are done, and leave out the end of the sweep. A run without an objective, also
        one that is not a number, gives None, which a search takes for a failure; of NaN Optuna would make an error of its own.
        """
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        objective = None
        try:
            value = job_return.return_value
        except Exception as error:
            _note(error, config)
        else:
            objective = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
            _note_done(objective, config)
        job_return.status, job_return.return_value = JobStatus.COMPLETED, objective

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Exit with 1 if some runs failed and with 2 if all of them were wrong requests."""
        runs = [
            file.parents[1]
            for file in sorted(Path(config.hydra.sweep.dir).rglob(str(OVERRIDES)))
            if file.stat().st_mtime >= self.started
        ]
        failures = [json.loads((run / FAILED).read_text(encoding="utf-8")) for run in runs if (run / FAILED).is_file()]
        if failures:
            print(f"Error: {len(failures)} of {len(runs)} runs failed: {failures[0]['reason']}", file=sys.stderr)
            wrong_request = len(failures) == len(runs) and all(failure["wrong_request"] for failure in failures)
            sys.exit(EXIT_WRONG_REQUEST if wrong_request else EXIT_SOME_FAILED)


class Summarise(Callback):
    """Sums a sweep up in `summary.csv`, `summary.md`, `summary.png` and a table in the terminal; see `reporting.summary`."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Sum up what the sweep's folder holds, whenever it was run."""
        summarise(Path(config.hydra.sweep.dir))


class JoinRuns(Callback):
    """Joins the runs of a sweep into `joined.csv`, `joined.md` and a table in the terminal; see `reporting.sweeps`.

    Args:
        layout: "matrix" (data sets x sources), "transfer" (trained on x tested on, also drawn as `joined.png`) or "comparison"
            (what was varied x sources).
        columns: "sources" or "regions".
        metric: name of the metric in the cells, as in metrics.json.
        expected: for each row its columns, in the order in which they are to stand; null takes what the runs have.
        labels: names of rows by the value that was varied, where the value itself is not readable.
    """

    def __init__(
        self,
        layout: str,
        columns: str = "sources",
        metric: str = "fp_fn_miou",
        expected: Mapping[str, Sequence[str]] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = {
            "layout": layout,
            "columns": columns,
            "metric": metric,
            "expected": expected or {},
            "labels": labels or {},
        }

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Join what the sweep's folder holds, whenever it was run."""
        try:
            self.join(Path(config.hydra.sweep.dir))
        except SegAssessError as error:
            stop(error)

    def join(self, folder: Path) -> None:
        """Read the runs below a sweep's folder, write the joined files beside them and print the table."""
        # Not needed, and slow to import, before the first run is done.
        from segassess.experiments.joined_sweeps import join_runs

        join_runs(folder, **self.settings)  # type: ignore[arg-type]


def summarise(folder: Path) -> None:
    """Sum up the runs below a sweep's folder.

    Raises:
        RequestError: if there are none.
    """
    # Not needed, and slow to import, before the first run is done.
    from segassess.experiments.summary import write_summary

    write_summary(folder)


def join_again(folder: Path) -> None:
    """Sum a sweep's folder up once more, and join its runs if its experiment does, for instance after some were repeated.

    Raises:
        RequestError: if the folder is not that of a sweep.
    """
    summarise(folder)
    file = folder / "multirun.yaml"
    node = OmegaConf.select(OmegaConf.load(file), "hydra.callbacks.join") if file.is_file() else None
    if node is not None:
        settings: Any = OmegaConf.to_container(node)
        JoinRuns(**{key: value for key, value in settings.items() if not key.startswith("_")}).join(folder)


# The sweep of this process, for `end_early`; Hydra tells its callbacks nothing of a sweep that ends by an exception.
_under_way: list[tuple[GoOn, DictConfig]] = []


def end_early(*, interrupted: bool) -> None:
    """Sum up a sweep of this process that an exception has ended, if there is one.

    Args:
        interrupted: by the user; otherwise it ends as one does that came to its end.
    """
    for go_on, config in _under_way:
        folder = Path(config.hydra.sweep.dir)
        if any(folder.rglob(str(OVERRIDES))):
            summarise(folder)
        if not interrupted:
            go_on.on_multirun_end(config)


def _note_done(objective: float | None, config: DictConfig) -> None:
    folder = Path(config.hydra.runtime.output_dir)
    # Hydra writes this file when a run begins.
    seconds = round(time.time() - (folder / OVERRIDES).stat().st_mtime, 1)
    (folder / DONE).write_text(json.dumps({"objective": objective, "seconds": seconds}, indent=2) + "\n", encoding="utf-8")


def _note(error: Exception, config: DictConfig) -> None:
    for_users = isinstance(error, SegAssessError | OmegaConfBaseException)
    if config.traceback or not for_users:
        traceback.print_exception(error)
    reason = sentence(error) if for_users else "".join(traceback.format_exception_only(error)).splitlines()[0]
    note: dict[str, str | bool] = {"reason": reason}
    folder = Path(config.hydra.runtime.output_dir)
    if config.get("on_missing") == "list" and type(error) in (RequestError, CheckpointError):
        name = MISSING
        print(f"Missing: {reason}", file=sys.stderr)
    else:
        name = FAILED
        note["wrong_request"] = isinstance(error, RequestError | OmegaConfBaseException)
        print(f"Failed: {reason}", file=sys.stderr)
    (folder / name).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
