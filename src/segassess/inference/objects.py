"""Scores of the objects of a mask, and of the objects it is predicted to miss, and the table of them."""

import csv
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segassess.files import atomic_path
from segassess.inference.scores import table_cell
from segassess.metrics.objects import MIN_AREA, MaskObjects, missed_objects, total
from segassess.quality import FN, FP, TP

# An object is right from this estimated IoU on, and wrong below the other: what the detection literature takes for a strict and
# for a loose match.
RIGHT_IOU = 0.75
WRONG_IOU = 0.5

RIGHT, PARTLY_WRONG, WRONG, MISSED = "right", "partly wrong", "wrong", "missed"


@dataclass(frozen=True)
class ObjectScore:
    """What is estimated of one object.

    Attributes:
        object: its number; first those of the mask, then the missed ones.
        verdict: "right", "partly wrong" or "wrong" of an object of the mask; "missed" of one that the mask lacks.
        area_px: its pixels.
        area_m2: the same on the ground, NaN if that is unknown.
        left: first column.
        top: first row.
        right: last column + 1.
        bottom: last row + 1.
        x: column of its centroid; 0 is the left edge of the raster, so pixel 0 has its centre at 0.5.
        y: row of its centroid, likewise.
        estimated_iou: of an object of the mask, see `metrics.objects`; NaN of a missed one.
        expected_errors_px: expected wrong pixels: false ones in it and missing ones charged to it; true ones of a missed object.
        expected_tp_px: expected true pixels of it; 0 of a missed one.
        expected_fn_px: expected missing pixels charged to it; of a missed one its own.
        mean_error: mean P(error) of its own pixels, in [0, 1].
        max_error: the largest of them.
    """

    object: int
    verdict: str
    area_px: int
    area_m2: float
    left: int
    top: int
    right: int
    bottom: int
    x: float
    y: float
    estimated_iou: float
    expected_errors_px: float
    expected_tp_px: float
    expected_fn_px: float
    mean_error: float
    max_error: float


OBJECT_COLUMNS = tuple(field.name for field in fields(ObjectScore))


def verdict(estimated_iou: float) -> str:
    """What an estimated IoU in [0, 1] says of an object of the mask."""
    if estimated_iou >= RIGHT_IOU:
        return RIGHT
    return WRONG if estimated_iou < WRONG_IOU else PARTLY_WRONG


def score_objects(
    probabilities: NDArray[np.float32],
    quality: NDArray[np.integer],
    mask: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    *,
    min_area: int = MIN_AREA,
    pixel_area_m2: float | None = None,
) -> list[ObjectScore]:
    """Score the connected components of a mask, and those of the pixels called FN that do not touch it.

    Args:
        probabilities: float (4, H, W), calibrated; pixels with NaN do not count.
        quality: (H, W), quality codes, as they were decided.
        mask: bool (H, W).
        valid: bool (H, W), pixels that count.
        min_area: smaller objects are left out, in pixels.
        pixel_area_m2: area of a pixel on the ground, or None.
    """
    valid = valid & ~np.isnan(probabilities).any(axis=0)
    objects = MaskObjects.of(mask, valid)
    from_mask = len(objects)
    inside = objects.labels > 0
    missed = missed_objects((quality == FN) & valid & ~inside, inside)
    true, missing = objects.counts(probabilities[TP], probabilities[FN], missed)
    iou = objects.iou(true, missing)
    # From here on both kinds are objects with a number.
    labels = np.where(missed > 0, missed + from_mask, objects.labels).astype(np.int32)
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    count = int(labels.max(initial=0))
    error = (probabilities[FP] + probabilities[FN])[rows, columns]
    largest = np.zeros(count + 1)
    np.maximum.at(largest, numbers, error)
    weights = None, columns + 0.5, rows + 0.5, error
    area, x, y, errors = (np.bincount(numbers, each, minlength=count + 1)[1:].astype(float) for each in weights)
    own_misses = total(missed, probabilities[FN], count - from_mask)
    scores = []
    for index, (vertical, horizontal) in enumerate(ndimage.find_objects(labels)):
        if area[index] < min_area:
            continue
        drawn = index < from_mask
        hit = true[index] if drawn else 0.0
        lacking = missing[index] if drawn else own_misses[index - from_mask]
        scores.append(
            ObjectScore(
                object=index + 1,
                verdict=verdict(iou[index]) if drawn else MISSED,
                area_px=int(area[index]),
                area_m2=math.nan if pixel_area_m2 is None else area[index] * pixel_area_m2,
                left=horizontal.start,
                top=vertical.start,
                right=horizontal.stop,
                bottom=vertical.stop,
                x=x[index] / area[index],
                y=y[index] / area[index],
                estimated_iou=iou[index] if drawn else math.nan,
                expected_errors_px=lacking + (area[index] - hit if drawn else 0.0),
                expected_tp_px=hit,
                expected_fn_px=lacking,
                mean_error=errors[index] / area[index],
                max_error=largest[index + 1],
            )
        )
    return scores


def write_objects(path: str | Path, objects: Iterable[ObjectScore]) -> None:
    """Write the table of objects (`OBJECT_COLUMNS`), those with the most expected errors first; NaN is an empty cell.

    Args:
        path: the CSV file to write.
        objects: see `score_objects`.

    Raises:
        RequestError: if the folder cannot be written to.
    """
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, OBJECT_COLUMNS, lineterminator="\n")
        table.writeheader()
        for each in sorted(objects, key=lambda each: (-each.expected_errors_px, each.object)):
            table.writerow({column: table_cell(value) for column, value in asdict(each).items()})
