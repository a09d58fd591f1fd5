"""Dashboard of an evaluation: scores, confusion matrix, reliability and review curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.evaluation.curves import write_reliability_plot, write_review_plot
from segassess.evaluation.result_tables import COLUMNS, Results
from segassess.experiments.dashboard.board import Board
from segassess.experiments.dashboard.confusion_plot import write_confusion_plot
from segassess.metrics.evaluation_metrics import ALL, MaskRow
from segassess.metrics.reliability import reliability_curve
from segassess.metrics.review_curves import review_curve
from segassess.quality import CLASS_NAMES, NUM_CLASSES

# Columns of the table of scores; `tiles.csv` has all, for all methods.
SCORES = ("name", "source", "estimated_iou", "true_iou", "expected_error_share", "error_share", "fp_iou", "fn_iou", "error_f1")


def show_evaluation(board: Board, title: str, results: Results, masks: Mapping[str, Sequence[MaskRow]]) -> None:
    """Show `scores` (a table), `confusion`, `reliability` and `review` (tables and figures) of an evaluation.

    The first method in `masks` is the one under evaluation; curves compare it with the others that judged all of its masks.
    """
    method, rows = next(iter(masks.items()))
    compared = {name: found for name, found in masks.items() if len(found) == len(rows)}
    board.table("scores", _scores(rows))
    confusion = np.sum([row.confusion for row in rows], axis=0).reshape(NUM_CLASSES, NUM_CLASSES)
    board.table("confusion", list(_confusion_rows(confusion)))
    board.figure("confusion", lambda path: write_confusion_plot(path, confusion, f"{method}, {title}"))
    panel = {title: {name: [found] for name, found in compared.items()}}
    board.table("reliability", [row for name, found in compared.items() for row in _reliability_rows(name, found)])
    board.figure("reliability", lambda path: write_reliability_plot(path, panel))
    board.table("review", [row for name, found in compared.items() for row in _review_rows(name, found)])
    board.figure("review", lambda path: write_review_plot(path, panel))
    board.numbers(
        {
            f"evaluation/{'' if source == ALL else f'{source}/'}{name}": metrics[name]
            for source, metrics in results[method].items()
            for name in COLUMNS
        }
    )


def _scores(rows: Sequence[MaskRow]) -> list[dict[str, Any]]:
    """A row per mask, by decreasing expected share of wrong pixels."""
    found = []
    for row in rows:
        share = row.expected_errors / sum(row.confusion)
        values = {**row.as_dict(), "expected_error_share": share}
        found.append({name: values[name] for name in SCORES})
    return sorted(found, key=lambda values: -values["expected_error_share"])


def _confusion_rows(confusion: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Pixels by predicted class and their shares, a row per true class."""
    for name, counts in zip(CLASS_NAMES, confusion.tolist(), strict=True):
        pixels = dict(zip(CLASS_NAMES, counts, strict=True))
        shares = {f"{other}_share": count / sum(counts) if sum(counts) else float("nan") for other, count in pixels.items()}
        yield {"true": name, **pixels, **shares}


def _reliability_rows(method: str, rows: Sequence[MaskRow]) -> Iterator[dict[str, Any]]:
    for predicted, observed, pixels in reliability_curve(np.sum([row.reliability_bins() for row in rows], axis=0)).T.tolist():
        if pixels:
            yield {"method": method, "predicted_error": predicted, "observed_error": observed, "pixels": int(pixels)}


def _review_rows(method: str, rows: Sequence[MaskRow]) -> Iterator[dict[str, Any]]:
    looked, found = review_curve([row.expected_errors for row in rows], [row.true_errors for row in rows])
    for share, errors in zip(looked.tolist(), found.tolist(), strict=True):
        yield {"method": method, "masks_looked_at": share, "errors_found": errors}
