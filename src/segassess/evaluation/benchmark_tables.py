"""Tables of a benchmark: methods over several seeds, on named parts of the masks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.table import Table

from segassess.evaluation.curves import write_reliability_plot, write_review_plot, write_risk_plot
from segassess.evaluation.result_tables import COLUMNS as RESULT_COLUMNS
from segassess.evaluation.result_tables import MAIN_METRIC, write_csv
from segassess.files import atomic_path, write_json
from segassess.metrics.evaluation_metrics import MaskRow, pooled_metrics
from segassess.outputs.tables import number

COLUMNS = {
    **RESULT_COLUMNS,
    "missed_recall": "missed found, 5 % false",
    "risk_95": "wrong in surest 95 %",
    "refined_iou_gain": "refined IoU gain",
}

# Mean and standard deviation over seeds; the latter is NaN for one run.
Spread: TypeAlias = tuple[float, float]
# By part, method and metric.
BenchmarkResults: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Spread]]]


@dataclass(frozen=True)
class Part:
    """A part of the masks with results of its own; `unseen_sources` says that no method may have learned from its sources."""

    name: str
    splits: tuple[str, ...]
    sources: tuple[str, ...]
    unseen_sources: bool

    def select(self, rows: Sequence[MaskRow], split_of: Mapping[str, str]) -> list[MaskRow]:
        """The rows of this part; `split_of` is by tile name."""
        return [row for row in rows if row.source in self.sources and split_of[row.name] in self.splits]

    def results(self, runs: Sequence[Sequence[MaskRow]], split_of: Mapping[str, str]) -> dict[str, Spread]:
        """Pooled metrics of each run, as mean and standard deviation over runs; {} for a method that judged only some sources."""
        chosen = [self.select(rows, split_of) for rows in runs]
        if any({row.source for row in rows} != set(self.sources) for rows in chosen):
            return {}
        metrics = [pooled_metrics(rows) for rows in chosen]
        return {name: _spread([one[name] for one in metrics]) for name in metrics[0]}


def _spread(values: Sequence[float]) -> Spread:
    # NaN, unlike in the statistics module, stays NaN.
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def cell(spread: Spread | None) -> str:
    """Mean and standard deviation, "-" where undefined or not judged."""
    if spread is None:
        return "-"
    mean, deviation = spread
    return number(mean) if math.isnan(deviation) or math.isnan(mean) else f"{mean:.3f} ± {deviation:.3f}"


def _rows(results: BenchmarkResults) -> Iterator[tuple[list[str], bool, bool]]:
    """A row per part and method, whether it has the best FP/FN mIoU of the part, and whether it is the part's last."""

    def main(metrics: Mapping[str, Spread]) -> float:
        mean = metrics.get(MAIN_METRIC, (math.nan, math.nan))[0]
        return -1.0 if math.isnan(mean) else mean

    for part, by_method in results.items():
        best = max(by_method, key=lambda method: main(by_method[method]))
        for position, (method, metrics) in enumerate(by_method.items()):
            cells = [cell(metrics.get(name)) for name in COLUMNS]
            yield [part if position == 0 else "", method, *cells], method == best, position == len(by_method) - 1


def benchmark_table(results: BenchmarkResults, seeds: Sequence[int]) -> Table:
    """The rows for the terminal; the best ones are bold."""
    table = Table(title=f"Mean ± standard deviation over {len(seeds)} trainings where a method is trained")
    for heading in ("part", "method"):
        table.add_column(heading)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for row, best, last in _rows(results):
        table.add_row(*row, style="bold" if best else None, end_section=last)
    return table


def _markdown(results: BenchmarkResults) -> str:
    lines = ["| part | method | " + " | ".join(COLUMNS.values()) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for (part, method, *cells), best, _ in _rows(results):
        lines.append(f"| {part} | {f'**{method}**' if best else method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_benchmark(
    folder: Path,
    parts: Sequence[Part],
    runs: Mapping[str, Sequence[Sequence[MaskRow]]],
    split_of: Mapping[str, str],
    results: BenchmarkResults,
    about: Mapping[str, Any],
) -> None:
    """Write the tables and pictures of a benchmark.

    They are `benchmark.md`, `benchmark.csv`, `benchmark.json` (`about`), `tiles.csv`, `review.png`, `reliability.png` and
    `risk_coverage.png`. `runs` has the rows of each run by method, `split_of` the split by tile name.
    """
    with atomic_path(folder / "benchmark.md") as temporary:
        temporary.write_text(_markdown(results), encoding="utf-8")
    write_json(folder / "benchmark.json", about)
    flat: list[dict[str, Any]] = []
    for part, by_method in results.items():
        for method, metrics in by_method.items():
            row: dict[str, Any] = {"part": part, "method": method, "runs": len(runs[method])}
            for name, (mean, deviation) in metrics.items():
                row |= {name: mean, f"{name}_std": deviation}
            flat.append(row)
    write_csv(folder / "benchmark.csv", flat)
    tiles = [
        {"method": method, "run": run, "split": split_of[row.name], **row.as_dict()}
        for method, found in runs.items()
        for run, rows in enumerate(found)
        for row in rows
    ]
    write_csv(folder / "tiles.csv", tiles)
    chosen = {
        part.name: {
            method: [part.select(rows, split_of) for rows in found]
            for method, found in runs.items()
            if results[part.name][method]
        }
        for part in parts
    }
    write_review_plot(folder / "review.png", chosen)
    write_reliability_plot(folder / "reliability.png", chosen)
    write_risk_plot(folder / "risk_coverage.png", chosen)
