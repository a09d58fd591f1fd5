"""Scores of whole masks, estimated from quality probabilities, and the table of them."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segassess.metrics.scores import ExpectedCounts
from segassess.outputs.tables import write_table

# Of a mask, or of a tile of it.
SCORES = (
    "estimated_iou",
    "estimated_f1",
    "estimated_precision",
    "estimated_recall",
    "error_share",
    "error_area_px",
    "error_area_m2",
)
SCORE_COLUMNS = ("name", "source", *SCORES)


def estimated_scores(counts: ExpectedCounts, pixel_area_m2: float | None = None) -> dict[str, float]:
    """Scores of a mask or a part of it.

    Args:
        counts: expected numbers of pixels.
        pixel_area_m2: area of a pixel on the ground (`Grid.pixel_area_m2`), or None.

    Returns:
        `SCORES`: `estimated_iou`, `estimated_f1`, `estimated_precision`, `estimated_recall`, `error_share` (of the valid pixels),
        each in [0, 1]; `error_area_px`, the expected number of wrong pixels, and `error_area_m2`. NaN where there is nothing to
        count.
    """
    area = math.nan if pixel_area_m2 is None else counts.errors * pixel_area_m2
    values = counts.iou, counts.f1, counts.precision, counts.recall, counts.error_share, counts.errors, area
    return dict(zip(SCORES, values, strict=True))


def write_scores(path: str | Path, rows: Iterable[Mapping[str, object]], *, parquet: bool = False) -> None:
    """Write the table of scores, worst mask first; see `write_table`.

    Sorted by estimated IoU; equal ones (an empty mask always has 0) by error share, largest first; unknown IoU last.

    Args:
        path: the CSV file to write.
        rows: values by column (`SCORE_COLUMNS`).
        parquet: write a .parquet file as well.
    """
    write_table(path, SCORE_COLUMNS, sorted(rows, key=_badness), parquet=parquet)


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
