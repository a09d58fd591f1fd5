"""Hydra callbacks of sweeps: one lets a sweep go on where a run fails, one joins the results of its runs into a table."""

import json
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
from segassess.pipelines.app import EXIT_SOME_FAILED, EXIT_WRONG_REQUEST, sentence

# In the folder of a run: why it failed, or which data it did not find.
FAILED = "failed.json"
MISSING = "missing.json"
OVERRIDES = Path(".hydra") / "overrides.yaml"


class GoOn(Callback):
    """Notes why a run of a sweep failed, lets the others run, and ends the sweep with the exit code that this deserves.

    A run leaves `failed.json`, or `missing.json` where `on_missing=list` allows that its data or its checkpoint are not there.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember when; a sweep may go into a folder with runs of an earlier one."""
        self.started = time.time()

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Forget what an earlier run in the same folder had noted."""
        for name in (FAILED, MISSING):
            (Path(config.hydra.runtime.output_dir) / name).unlink(missing_ok=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note a failure, in the process that ran the job, and tell Hydra that all is well.

        Hydra would raise it when all runs are done, and leave out the end of the sweep.
        """
        if config.hydra.mode != RunMode.MULTIRUN or job_return.status == JobStatus.COMPLETED:
            return
        try:
            _ = job_return.return_value
        except Exception as error:
            _note(error, config)
        job_return.status, job_return.return_value = JobStatus.COMPLETED, None

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
            # Of other exceptions Hydra makes a warning.
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(EXIT_WRONG_REQUEST)

    def join(self, folder: Path) -> None:
        """Read the runs below a sweep's folder, write the joined files beside them and print the table."""
        # Not needed, and slow to import, before the first run is done.
        from segassess.reporting.sweeps import join_runs

        join_runs(folder, **self.settings)  # type: ignore[arg-type]


def join_again(folder: Path) -> None:
    """Join a sweep's folder once more, as the sweep was told to, for instance after some of its runs were repeated.

    Raises:
        RequestError: if the folder is not that of a sweep that joins its runs.
    """
    file = folder / "multirun.yaml"
    node = OmegaConf.select(OmegaConf.load(file), "hydra.callbacks.join") if file.is_file() else None
    if node is None:
        raise RequestError(f"{file} does not say how to join runs; give the folder of a sweep with an experiment that joins.")
    settings: Any = OmegaConf.to_container(node)
    JoinRuns(**{key: value for key, value in settings.items() if not key.startswith("_")}).join(folder)


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
