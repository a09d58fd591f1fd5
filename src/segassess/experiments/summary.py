"""Summarise a sweep from its runs' folders alone, best run first, so that stopped and resumed sweeps work too."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segassess.errors import RequestError
from segassess.evaluation.result_tables import COLUMNS, write_csv
from segassess.experiments.parallel_coordinates import write_parallel_coordinates
from segassess.experiments.runs import Run, read_runs, varied_keys
from segassess.files import write_text
from segassess.metrics.evaluation_metrics import ALL
from segassess.outputs.tables import number

# Printed; summary.csv has every metric.
_METRICS = ("fp_fn_miou", "error_f1", "iou_mae")
DONE = "done"


def write_summary(folder: Path) -> None:
    """Write `summary.csv`, `summary.md` and, from two objectives on, `summary.png` into a sweep's folder, and print the table.

    Raises:
        RequestError: if there are no runs.
    """
    runs = best_first(read_runs(folder))
    if not runs:
        raise RequestError(f"{folder} has no runs; give the folder of a sweep.")
    keys, name = varied_keys(runs), objective_name(runs)
    write_csv(folder / "summary.csv", [_long_row(run, keys, name) for run in runs])
    rows = [_short_row(run, keys, name) for run in runs]
    notes = [*_best(runs, keys, name), *_reasons(runs)]
    headings = list(rows[0])
    lines = [headings, ["---"] * len(headings), *([text.replace("|", "\\|") for text in row.values()] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    write_text(folder / "summary.md", "\n\n".join(["# Runs of a sweep, best first", table, *notes]) + "\n")
    drawn = bool(keys) and sum(not math.isnan(run.objective) for run in runs) > 1
    if drawn:
        values = {key: [run.overrides.get(key, "") for run in runs] for key in keys}
        write_parallel_coordinates(folder / "summary.png", values, name, [run.objective for run in runs])
    console = Console(width=max(100, min(200, 14 * len(rows[0]) + 40)))
    console.print(_terminal(rows))
    for note in notes:
        console.print(escape(note), soft_wrap=True)
    print(f"Summary: {folder / 'summary.md'}, summary.csv{', summary.png' if drawn else ''}")


def best_first(runs: Sequence[Run]) -> list[Run]:
    """Runs by objective, highest first, then those without one in their own order."""
    return sorted(runs, key=lambda run: -math.inf if math.isnan(run.objective) else run.objective, reverse=True)


def objective_name(runs: Sequence[Run]) -> str:
    """The metric that all runs monitor, or "objective"."""
    names = {run.monitor for run in runs}
    return names.pop() or "objective" if len(names) == 1 else "objective"


def status(run: Run) -> str:
    """`done`, `failed`, `missing` or `not finished`."""
    return DONE if run.outcome or run.scores else run.ending or "not finished"


def _results(run: Run) -> Mapping[str, float]:
    """Metrics of the method under test over all sources and regions; {} without an evaluation."""
    found = (score.metrics for score in run.scores if not score.baseline and score.source == score.region == ALL)
    return next(found, {})


def _short_row(run: Run, keys: Sequence[str], name: str) -> dict[str, str]:
    results = _results(run)
    return {
        "run": run.name,
        **{key: _readable(run.overrides.get(key, "")) for key in keys},
        name: number(run.objective),
        **{f"test {COLUMNS[metric]}": number(results.get(metric, math.nan)) for metric in _METRICS},
        "seconds": f"{run.outcome['seconds']:.0f}" if run.outcome else "-",
        "status": status(run),
    }


def _readable(value: str) -> str:
    """Shorten a long number of an override to four digits."""
    try:
        return f"{float(value):.4g}" if len(value) > 8 else value
    except ValueError:
        return value


def _long_row(run: Run, keys: Sequence[str], name: str) -> dict[str, Any]:
    about = {"run": run.name, **{key: run.overrides.get(key, "") for key in keys}, name: run.objective}
    reason = run.reasons.get(ALL, "") if run.ending else ""
    end = {"seconds": run.outcome.get("seconds", math.nan), "status": status(run), "reason": reason}
    return {**about, **end, **{f"test/{metric}": value for metric, value in _results(run).items()}}


def _best(runs: Sequence[Run], keys: Sequence[str], name: str) -> Iterator[str]:
    """A sentence with the overrides of the best run, if any run has an objective."""
    if not math.isnan(runs[0].objective):
        settings = " ".join(f"{key}={runs[0].overrides[key]}" for key in keys if key in runs[0].overrides)
        yield f"Best: run {runs[0].name}, {name} {number(runs[0].objective)}: {settings or 'nothing was varied'}"


def _reasons(runs: Sequence[Run]) -> Iterator[str]:
    """A sentence per reason for missing results, with the names of its runs."""
    names: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        if run.ending:
            names.setdefault((run.ending, run.reasons[ALL]), []).append(run.name)
    for (ending, reason), of in names.items():
        yield f"{ending.capitalize()}: run {', '.join(of)}: {reason}"


def _terminal(rows: Sequence[Mapping[str, str]]) -> Table:
    table = Table(title="Runs of the sweep, best first")
    for heading in rows[0]:
        table.add_column(escape(heading), justify="left" if heading in ("run", "status") else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row.values()), style=None if row["status"] == DONE else "dim")
    return table
