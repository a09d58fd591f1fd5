"""Scores of whole masks, estimated from quality probabilities, and the table of them."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segassess.files import atomic_path
from segassess.metrics.scores import ExpectedCounts

SCORE_COLUMNS = (
    "name",
    "source",
    "estimated_iou",
    "estimated_f1",
    "estimated_precision",
    "estimated_recall",
    "error_share",
    "error_area_px",
    "error_area_m2",
)


def estimated_scores(probabilities: Any, valid: Any, pixel_area_m2: float | None = None) -> dict[str, float]:
    """Scores of a mask, from the expected numbers of TP, FP and FN pixels (see `ExpectedCounts`).

    Args:
        probabilities: float (4, H, W) in [0, 1], calibrated; torch tensor or array; a pixel with NaN does not count.
        valid: bool (H, W), torch tensor or array.
        pixel_area_m2: area of a pixel on the ground (`Georeference.pixel_area_m2`), or None.

    Returns:
        `estimated_iou`, `estimated_f1`, `estimated_precision`, `estimated_recall`, `error_share` (of the valid pixels), each in
        [0, 1]; `error_area_px`, the expected number of wrong pixels, and `error_area_m2`. NaN where there is nothing to count.

    Raises:
        ValueError: if the shapes do not fit.
    """
    counts = ExpectedCounts.of(probabilities, valid)
    return {
        "estimated_iou": counts.iou,
        "estimated_f1": counts.f1,
        "estimated_precision": counts.precision,
        "estimated_recall": counts.recall,
        "error_share": counts.error_share,
        "error_area_px": counts.errors,
        "error_area_m2": math.nan if pixel_area_m2 is None else counts.errors * pixel_area_m2,
    }


def write_scores(path: str | Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write the table of scores, worst mask first.

    Sorted by estimated IoU; equal ones (an empty mask always has 0) by error share, largest first; unknown IoU last.

    Args:
        path: the CSV file to write.
        rows: values by column (`SCORE_COLUMNS`); missing values, None and NaN become empty cells.

    Raises:
        RequestError: if the folder cannot be written to.
        ValueError: if a row has another column.
    """
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, SCORE_COLUMNS, extrasaction="raise", lineterminator="\n")
        table.writeheader()
        table.writerows({column: table_cell(value) for column, value in row.items()} for row in sorted(rows, key=_badness))


def _badness(row: Mapping[str, object]) -> tuple[float, float, str, str]:
    iou, share = _number(row.get("estimated_iou")), _number(row.get("error_share"))
    return (
        math.inf if math.isnan(iou) else iou,
        math.inf if math.isnan(share) else -share,
        str(row.get("name", "")),
        str(row.get("source", "")),
    )


def _number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)


def table_cell(value: Any) -> str:
    """A value as the cell of a table: numbers with six digits, nothing for None and NaN."""
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.6g}"
