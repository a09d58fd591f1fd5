"""Tables of an evaluation: in the terminal, and as CSV and JSON."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from segassess.inference.writers import atomic_path

# Results by method, then by source ("all" pools them), then by metric.
Results: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]

COLUMNS = {
    "fp_fn_miou": "FP/FN mIoU",
    "fp_iou": "FP IoU",
    "fn_iou": "FN IoU",
    "mean_iou": "mean IoU",
    "error_f1": "error F1",
    "iou_mae": "est. IoU MAE",
    "iou_pearson": "Pearson",
    "iou_spearman": "Spearman",
}


def number(value: float) -> str:
    """Three decimals, or a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def comparison_table(results: Results, title: str, unseen: Sequence[str] = ()) -> Table:
    """A table with one row per source and method; the best FP/FN mIoU of each source is bold, unseen sources are marked."""
    table = Table(title=title)
    for heading in ("source of masks", "method"):
        table.add_column(heading)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    sources = list(next(iter(results.values())))
    for source in sources:
        scores = {method: by_source[source] for method, by_source in results.items()}
        best = max(scores, key=lambda method: -1.0 if math.isnan(scores[method]["fp_fn_miou"]) else scores[method]["fp_fn_miou"])
        for position, (method, metrics) in enumerate(scores.items()):
            label = (f"{source} (unseen)" if source in unseen else source) if position == 0 else ""
            style = "bold" if method == best else None
            table.add_row(
                label, method, *(number(metrics[name]) for name in COLUMNS), style=style, end_section=position == len(scores) - 1
            )
    return table


def write_results(
    folder: Path, results: Results, rows: Mapping[str, Sequence[Mapping[str, Any]]], about: Mapping[str, Any]
) -> None:
    """Write `metrics.json`, `metrics.csv` (a row per method and source) and `tiles.csv` (a row per method and mask).

    NaN is written as null in JSON and as an empty cell in CSV.
    """
    content = {
        "about": dict(about),
        "results": {
            method: {
                source: {name: None if math.isnan(value) else value for name, value in metrics.items()}
                for source, metrics in by_source.items()
            }
            for method, by_source in results.items()
        },
    }
    with atomic_path(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    flat = [
        {"method": method, "source": source, **metrics}
        for method, by_source in results.items()
        for source, metrics in by_source.items()
    ]
    _write_csv(folder / "metrics.csv", flat)
    _write_csv(folder / "tiles.csv", [{"method": method, **row} for method, tiles in rows.items() for row in tiles])


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    buffer = StringIO()
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
            )
    with atomic_path(path) as temporary:
        temporary.write_text(buffer.getvalue(), encoding="utf-8")
