"""Scores of whole masks, estimated from quality probabilities, and the table of them."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segassess.inference.writers import atomic_path
from segassess.quality import FN, FP, NUM_CLASSES, TP

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


@dataclass(frozen=True)
class ExpectedCounts:
    """Expected numbers of pixels; counts of parts of an image add up to those of the image.

    Attributes:
        true_positive: sum of P(TP) over valid pixels.
        false_positive: sum of P(FP).
        false_negative: sum of P(FN).
        valid: number of valid pixels.
    """

    true_positive: float = 0.0
    false_positive: float = 0.0
    false_negative: float = 0.0
    valid: int = 0

    @classmethod
    def of(cls, probabilities: Any, valid: Any) -> "ExpectedCounts":
        """Count one image or part of one.

        Args:
            probabilities: float (4, H, W) in [0, 1], torch tensor or array; a pixel with NaN does not count.
            valid: bool (H, W), torch tensor or array.

        Raises:
            ValueError: if the shapes do not fit.
        """
        classes, counted = _array(probabilities), _array(valid).astype(bool)
        if classes.ndim != 3 or classes.shape != (NUM_CLASSES, *counted.shape):
            shapes = f"{classes.shape} and {counted.shape}"
            raise ValueError(f"probabilities must be ({NUM_CLASSES}, H, W) and valid (H, W), not {shapes}.")
        counted = counted & ~np.isnan(classes).any(axis=0)
        hits, false_alarms, misses = (float(np.sum(classes[code], where=counted, dtype=np.float64)) for code in (TP, FP, FN))
        return cls(hits, false_alarms, misses, int(counted.sum()))

    def __add__(self, other: "ExpectedCounts") -> "ExpectedCounts":
        return ExpectedCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.valid + other.valid,
        )

    def scores(self, pixel_area_m2: float | None = None) -> dict[str, float]:
        """Scores by column name; see `estimated_scores`."""
        hit, errors = self.true_positive, self.false_positive + self.false_negative
        return {
            "estimated_iou": _ratio(hit, hit + errors),
            "estimated_f1": _ratio(2 * hit, 2 * hit + errors),
            "estimated_precision": _ratio(hit, hit + self.false_positive),
            "estimated_recall": _ratio(hit, hit + self.false_negative),
            "error_share": _ratio(errors, self.valid),
            "error_area_px": errors,
            "error_area_m2": math.nan if pixel_area_m2 is None else errors * pixel_area_m2,
        }


def estimated_scores(probabilities: Any, valid: Any, pixel_area_m2: float | None = None) -> dict[str, float]:
    """Scores of a mask, from the expected numbers of TP, FP and FN pixels.

    Args:
        probabilities: float (4, H, W) in [0, 1], torch tensor or array; a pixel with NaN does not count.
        valid: bool (H, W), torch tensor or array.
        pixel_area_m2: area of a pixel on the ground (`Georeference.pixel_area_m2`), or None.

    Returns:
        `estimated_iou`, `estimated_f1`, `estimated_precision`, `estimated_recall`, `error_share` (of the valid pixels), each in
        [0, 1]; `error_area_px`, the expected number of wrong pixels, and `error_area_m2`. NaN where there is nothing to count.

    Raises:
        ValueError: if the shapes do not fit.
    """
    return ExpectedCounts.of(probabilities, valid).scores(pixel_area_m2)


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
        table.writerows({column: _cell(value) for column, value in row.items()} for row in sorted(rows, key=_badness))


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


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.6g}"


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _array(values: Any) -> Any:
    """A numpy array of a torch tensor on any device, with or without gradient, or of an array."""
    return np.asarray(values.detach().cpu().float() if hasattr(values, "detach") else values)
