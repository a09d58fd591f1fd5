"""Scores of masks, estimated from quality probabilities."""

import math

from segassess.metrics.expected_counts import ExpectedCounts

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
    """`SCORES` of a mask or a part of it; NaN where there is nothing to count, or no pixel area.

    All lie in [0, 1] but `error_area_px`, the expected number of wrong pixels, and `error_area_m2`. `error_share` is of the valid
    pixels.
    """
    area = math.nan if pixel_area_m2 is None else counts.errors * pixel_area_m2
    values = counts.iou, counts.f1, counts.precision, counts.recall, counts.error_share, counts.errors, area
    return dict(zip(SCORES, values, strict=True))
