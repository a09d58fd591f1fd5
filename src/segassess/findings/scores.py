"""Scores of whole masks, estimated from quality probabilities."""

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
