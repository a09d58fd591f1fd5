"""Tables of an evaluation: in the terminal, and as CSV and JSON."""

import csv
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from segassess.files import atomic_path, write_json
from segassess.metrics.evaluation_metrics import ALL
from segassess.outputs.tables import number

# By method, source ("all" pools them) and metric.
Results: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]
# By method, region, source and metric.
RegionResults: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]

MAIN_METRIC = "fp_fn_miou"
COLUMNS = {
    MAIN_METRIC: "FP/FN mIoU",
    "fp_iou": "FP IoU",
    "fn_iou": "FN IoU",
    "error_f1": "error F1",
    "iou_mae": "est. IoU MAE",
    "iou_spearman": "Spearman",
    "object_ap": "object AP",
    "review_found_20": "found in 20 %",
    "ece": "ECE",
}


def comparison_table(results: Results, title: str, unseen: Sequence[str] = ()) -> Table:
    """A row per source and method; the best FP/FN mIoU of each source is bold. "mask IoU" is that of masks and ground truth."""
    table = Table(title=title)
    table.add_column("source of masks", no_wrap=True)
    table.add_column("mask IoU", justify="right")
    table.add_column("method", no_wrap=True)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    found = dict.fromkeys(source for by_source in results.values() for source in by_source)
    for source in sorted(found, key=lambda source: source == ALL):
        scores = {method: by_source[source] for method, by_source in results.items() if source in by_source}
        mask_iou = next(iter(scores.values()))["mask_iou"]
        best = max(scores, key=lambda method: -1.0 if math.isnan(scores[method]["fp_fn_miou"]) else scores[method]["fp_fn_miou"])
        for position, method in enumerate(results):
            label = f"{source} (unseen)" if source in unseen else source
            first = [label, number(mask_iou)] if position == 0 else ["", ""]
            style = "bold" if method == best else None
            cells = [number(scores[method][name]) for name in COLUMNS] if method in scores else []
            table.add_row(*first, method, *cells, style=style, end_section=position == len(results) - 1)
    return table


def region_table(regions: RegionResults, title: str) -> Table:
    """FP/FN mIoU of all sources pooled, a row per method and a column per region; empty for a method that skipped sources."""
    table = Table(title=title)
    table.add_column("method")
    names = sorted({region for by_region in regions.values() for region in by_region})
    for region in names:
        table.add_column(region, justify="right")
    for method, by_region in regions.items():
        pooled = [by_region.get(region, {}).get(ALL) for region in names]
        table.add_row(method, *("" if metrics is None else number(metrics[MAIN_METRIC]) for metrics in pooled))
    return table


def write_results(
    folder: Path,
    results: Results,
    regions: RegionResults,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    about: Mapping[str, Any],
) -> None:
    """Write `metrics.json`, `metrics.csv` (per method and source) and `tiles.csv` (per method and mask); NaN is null or empty."""
    write_json(folder / "metrics.json", _without_nan({"about": about, "results": results, "regions": regions}))
    flat = [
        {"method": method, "source": source, **metrics}
        for method, by_source in results.items()
        for source, metrics in by_source.items()
    ]
    write_csv(folder / "metrics.csv", flat)
    write_csv(folder / "tiles.csv", [{"method": method, **row} for method, tiles in rows.items() for row in tiles])


def _without_nan(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: _without_nan(child) for name, child in node.items()}
    return None if isinstance(node, float) and math.isnan(node) else node


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under the union of their columns; NaN becomes an empty cell."""
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
