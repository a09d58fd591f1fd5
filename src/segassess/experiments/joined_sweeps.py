"""Join the runs of a sweep: one long CSV of all results, and readable tables of one metric.

A table has a row per data set or varied value and a column per source or region. Sources that no run was trained on stand apart,
on the right. A missing result is a dash, with its reason below the tables.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape

from segassess.errors import ConfigError, RequestError
from segassess.evaluation.result_tables import COLUMNS, MAIN_METRIC, write_csv
from segassess.experiments.heatmap import write_heatmap
from segassess.experiments.matrix import ScoreMatrix
from segassess.experiments.runs import Run, read_runs, varied_keys
from segassess.files import write_text
from segassess.metrics.evaluation_metrics import ALL

# Meaning of the rows, by layout.
LAYOUTS = {"matrix": "data set", "transfer": "trained on", "comparison": "run"}


class Gap(NamedTuple):
    """A missing result; the source is "all" for a whole run."""

    row: str
    source: str
    reason: str


def join_runs(
    folder: Path,
    *,
    layout: str,
    columns: str = "sources",
    metric: str = MAIN_METRIC,
    expected: Mapping[str, Sequence[str]] | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Write `joined.csv`, `joined.md` and, for transfer, `joined.png` into a sweep's folder, and print tables; see `JoinRuns`.

    Raises:
        ConfigError: if a setting is not allowed.
        RequestError: if there are no runs.
    """
    runs = read_runs(folder)
    if not runs:
        raise RequestError(f"{folder} has no runs to join; give the folder of a sweep.")
    _check("layout", layout, LAYOUTS)
    _check("columns", columns, ("sources", "regions"))
    _check("metric", metric, next((score.metrics for run in runs for score in run.scores), (metric,)))
    rows = {run.name: run.dataset for run in runs} if layout == "matrix" else row_names(runs, labels or {})
    expected = expected or {}
    gaps = find_gaps(runs, rows, expected)
    baselines = dict.fromkeys(score.method for run in runs for score in run.scores if score.baseline)
    grids = [make_grid(runs, rows, layout, columns, metric, expected, baseline) for baseline in (None, *baselines)]

    write_csv(folder / "joined.csv", list(_long_rows(runs, rows, gaps)))
    notes = sorted({run.circumstances for run in runs if run.circumstances})
    if grids[0].marked:
        notes.append("Bold: tested on what it was trained on.")
    notes += [f"No result of {line}" for line in dict.fromkeys(f"{gap.row}: {gap.reason}" for gap in gaps)]
    parts = [f"# Joined runs: {layout}", *(grid.markdown() for grid in grids), "\n".join(f"- {note}" for note in notes)]
    write_text(folder / "joined.md", "\n\n".join(parts) + "\n")
    drawn = layout == "transfer" and bool(grids[0].values)
    if drawn:
        write_heatmap(folder / "joined.png", grids[0])
    console = Console(width=150)
    for grid in grids:
        console.print(grid.terminal())
    for note in notes:
        console.print(escape(note))
    print(f"Joined: {folder / 'joined.md'}, joined.csv{', joined.png' if drawn else ''}")


def _check(key: str, value: str, allowed: Sequence[str] | Mapping[str, Any]) -> None:
    if value not in allowed:
        raise ConfigError(f"hydra.callbacks.join.{key} must be one of {', '.join(allowed)}, not {value!r}.")


def row_names(runs: Sequence[Run], labels: Mapping[str, str]) -> dict[str, str]:
    """Row by `Run.name`: the value of the one varied key, or key=value pairs; `labels` replaces values."""
    varied = varied_keys(runs)

    def value(run: Run, key: str) -> str:
        text = run.overrides.get(key, "")
        return labels.get(text, text.strip("[]"))

    if len(varied) == 1:
        return {run.name: value(run, varied[0]) for run in runs}
    return {run.name: ", ".join(f"{key}={value(run, key)}" for key in varied) or run.name for run in runs}


def find_gaps(runs: Sequence[Run], rows: Mapping[str, str], expected: Mapping[str, Sequence[str]]) -> list[Gap]:
    """Missing results: of runs without any, and of sources that a row should have; `rows` is by `Run.name`."""
    gaps = []
    for row in dict.fromkeys([*expected, *rows.values()]):
        mine = [run for run in runs if rows[run.name] == row]
        found = {score.source for run in mine for score in run.scores}
        reasons = {source: reason for run in mine for source, reason in run.reasons.items()}
        otherwise = reasons.get(ALL, "not run." if not mine else "")
        if row not in expected and ALL in reasons:
            gaps.append(Gap(row, ALL, reasons[ALL]))
        for source in dict.fromkeys([*expected.get(row, ()), *reasons]):
            if source not in found and source != ALL:
                gaps.append(Gap(row, source, reasons.get(source) or otherwise or f"there are no masks of {source}."))
    return gaps


def make_grid(
    runs: Sequence[Run],
    rows: Mapping[str, str],
    layout: str,
    columns: str,
    metric: str,
    expected: Mapping[str, Sequence[str]],
    baseline: str | None,
) -> ScoreMatrix:
    """The table of a baseline, or of the assessor (None); for the other arguments see `find_gaps` and `JoinRuns`."""
    by_source = columns == "sources"
    values: dict[tuple[str, str], float] = {}
    marked = set()
    for run in runs:
        for score in run.scores:
            column, pooled = (score.source, score.region) if by_source else (score.region, score.source)
            if pooled == ALL != column and (score.method if score.baseline else None) == baseline:
                values[rows[run.name], column] = score.metrics[metric]
                if column not in run.unseen if by_source else column in run.regions:
                    marked.add((rows[run.name], column))
    names = list(dict.fromkeys([*expected, *rows.values()]))
    every = dict.fromkeys(column for row in expected.values() for column in row) | dict.fromkeys(column for _, column in values)
    # Columns that are also rows keep the order of the rows, for a diagonal.
    order = sorted(every, key=lambda column: names.index(column) if column in names else len(names))
    for row in names:
        for column in expected.get(row, order):
            values.setdefault((row, column), math.nan)
    apart = {source for run in runs for source in run.unseen} - {column for _, column in marked}
    compositions = sorted({score.method for run in runs for score in run.scores if not score.baseline})
    grid = ScoreMatrix(
        title=f"{COLUMNS.get(metric, metric)} of {baseline or ', '.join(compositions) or 'the assessor'}",
        corner=LAYOUTS[layout],
        rows=names,
        columns=[column for column in order if column not in apart],
        apart=[column for column in order if column in apart],
        values=values,
        marked=frozenset(marked) if layout == "transfer" else frozenset(),
    )
    return grid.with_means() if layout == "comparison" else grid


def _long_rows(runs: Sequence[Run], rows: Mapping[str, str], gaps: Sequence[Gap]) -> Iterator[dict[str, Any]]:
    """A row per run, method, region and source, and one per gap."""
    for run in runs:
        overrides = " ".join(f"{key}={value}" for key, value in run.overrides.items())
        about = {"row": rows[run.name], "job": run.name, "overrides": overrides, "dataset": run.dataset}
        for score in run.scores:
            place = {"method": score.method, "baseline": score.baseline, "region": score.region, "source": score.source}
            yield {**about, **place, "zero_shot": score.source in run.unseen, "missing": "", **score.metrics}
    unseen = {source for run in runs for source in run.unseen}
    for gap in gaps:
        yield {"row": gap.row, "region": ALL, "source": gap.source, "zero_shot": gap.source in unseen, "missing": gap.reason}
