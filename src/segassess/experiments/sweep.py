"""Hydra callbacks of sweeps: continue after a failed run, summarise the runs, join their results."""

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

DONE = "done.json"
FAILED = "failed.json"
MISSING = "missing.json"
OVERRIDES = Path(".hydra") / "overrides.yaml"


class GoOn(Callback):
    """Records why a run failed, lets the others run, and ends the sweep with a fitting exit code.

    A run leaves `done.json` (objective, seconds), `failed.json`, or, with `on_missing=list` and without its data or checkpoint,
    `missing.json`.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a wrong sweep and note the time: the folder may hold runs of earlier sweeps."""
        try:
            check_sweep(config, config.hydra)
        except RequestError as error:
            # Hydra would only warn of an exception.
            stop(error)
        self.started = time.time()
        _under_way[:] = [(self, config)]

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Delete notes of an earlier run in the same folder."""
        for name in (DONE, FAILED, MISSING):
            (Path(config.hydra.runtime.output_dir) / name).unlink(missing_ok=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note how a run ended, in its own process, and report success to Hydra, which would skip the end of the sweep otherwise.

        A missing or non-finite objective becomes None, a failure for a search; NaN would be an error in Optuna.
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
        """Exit with 1 if some runs failed, with 2 if all were wrong requests."""
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
    """Summarises a sweep as files and a table in the terminal; see `experiments.summary`."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Summarise all runs in the sweep's folder, old ones too."""
        summarise(Path(config.hydra.sweep.dir))


class JoinRuns(Callback):
    """Joins the runs of a sweep as files and tables in the terminal; see `experiments.joined_sweeps`.

    `layout` is "matrix" (data sets x sources), "transfer" (trained on x tested on, also as a picture) or "comparison" (varied
    values x sources). `columns` is "sources" or "regions", `metric` a name in metrics.json. `expected` gives the columns of each
    row in order (None: those of the runs), `labels` readable names of varied values.
    """

    def __init__(
        self,
        layout: str,
        columns: str = "sources",
        metric: str = "fp_fn_miou",
        expected: Mapping[str, Sequence[str]] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        settings = {"layout": layout, "columns": columns, "metric": metric, "expected": expected, "labels": labels}
        self.settings: dict[str, Any] = settings

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Join all runs in the sweep's folder, old ones too."""
        try:
            self.join(Path(config.hydra.sweep.dir))
        except SegAssessError as error:
            stop(error)

    def join(self, folder: Path) -> None:
        """Join the runs below a folder."""
        # Slow to import.
        from segassess.experiments.joined_sweeps import join_runs

        join_runs(folder, **self.settings)


def summarise(folder: Path) -> None:
    """Summarise the runs below a folder; RequestError if there are none."""
    # Slow to import.
    from segassess.experiments.summary import write_summary

    write_summary(folder)


def join_again(folder: Path) -> None:
    """Summarise a sweep's folder again, and join its runs if its experiment does; RequestError if there are none."""
    summarise(folder)
    file = folder / "multirun.yaml"
    node = OmegaConf.select(OmegaConf.load(file), "hydra.callbacks.join") if file.is_file() else None
    if node is not None:
        settings: Any = OmegaConf.to_container(node)
        JoinRuns(**{key: value for key, value in settings.items() if not key.startswith("_")}).join(folder)


# The sweep of this process; Hydra does not tell callbacks when an exception ends it.
_under_way: list[tuple[GoOn, DictConfig]] = []


def end_early(*, interrupted: bool) -> None:
    """Summarise a sweep of this process that an exception ended; unless the user interrupted it, exit as at its end."""
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
