"""Review, reliability and risk-coverage curves of a benchmark or an evaluation as pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segassess.files import atomic_path
from segassess.metrics.evaluation_metrics import MaskRow
from segassess.metrics.review_curves import review_curve
from segassess.metrics.risk_coverage import risk_coverage_curve

# Palette of Okabe and Ito (https://jfly.uni-koeln.de/color/); dashes distinguish methods of one colour.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", ":")
_QUIET = "#868e96"

# Rows of each run, by part and method.
Runs = Mapping[str, Mapping[str, Sequence[Sequence[MaskRow]]]]


# A bin with fewer pixels says nothing.
MIN_PIXELS = 200


def write_review_plot(path: Path, runs: Runs) -> None:
    """Plot the share of error pixels found by the share of masks looked at: a panel per part, the first run of each method."""

    def draw(axes: Axes, by_method: Mapping[str, Sequence[MaskRow]]) -> None:
        for index, (method, rows) in enumerate(by_method.items()):
            errors = [row.true_errors for row in rows]
            looked, share = review_curve([row.expected_errors for row in rows], errors)
            axes.plot(looked, share, label=method, **line_style(index))
            if index == 0:
                axes.plot(*review_curve(errors, errors), color=_QUIET, linewidth=1, linestyle="-.", label="oracle")
        axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=1, label="random order")
        axes.axvline(0.2, color=_QUIET, linewidth=0.6, linestyle=":")
        axes.set(
            xlabel="share of masks looked at, worst first", ylabel="share of error pixels found", xlim=(0, 1), ylim=(0, 1.02)
        )

    _write_panels(path, runs, draw)


def write_reliability_plot(path: Path, runs: Runs) -> None:
    """Plot the observed share of errors by predicted P(error), in bins: a panel per part, the first run of each method."""

    def draw(axes: Axes, by_method: Mapping[str, Sequence[MaskRow]]) -> None:
        axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=1, label="perfectly calibrated")
        for index, (method, rows) in enumerate(by_method.items()):
            bins = np.sum([row.reliability_bins() for row in rows], axis=0)
            counts, predicted, wrong = bins[:, bins[0] >= MIN_PIXELS]
            axes.plot(predicted / counts, wrong / counts, marker="o", markersize=3, label=method, **line_style(index))
        axes.set(xlabel="predicted P(error)", ylabel="observed share of errors", xlim=(0, 1), ylim=(0, 1))

    _write_panels(path, runs, draw)


def write_risk_plot(path: Path, runs: Runs) -> None:
    """Plot the share of wrong pixels among those that are taken as right: a panel per part, the first run of each method."""

    def draw(axes: Axes, by_method: Mapping[str, Sequence[MaskRow]]) -> None:
        highest = 0.0
        for index, (method, rows) in enumerate(by_method.items()):
            coverage, risk = risk_coverage_curve(np.sum([row.reliability_bins() for row in rows], axis=0))
            highest = max(highest, float(risk.max(initial=0)))
            axes.plot(coverage, risk, marker="o", markersize=2, label=method, **line_style(index))
        axes.set(
            xlabel="share of pixels taken as right, surest first",
            ylabel="share of wrong pixels among them",
            xlim=(0, 1),
            ylim=(0, 1.05 * highest or 1),
        )

    _write_panels(path, runs, draw)


def line_style(index: int) -> dict[str, Any]:
    """Matplotlib's options for one of several lines."""
    return {"color": _COLOURS[index % len(_COLOURS)], "linestyle": _DASHES[index // len(_COLOURS)], "linewidth": 1.6}


def _write_panels(path: Path, runs: Runs, draw: Callable[[Axes, Mapping[str, Sequence[MaskRow]]], None]) -> None:
    """Write a panel per part, in which `draw` draws the first run of each method, above their common legend."""
    figure = Figure(figsize=(4.2 * len(runs), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    handles: dict[str, Any] = {}
    for index, (title, by_method) in enumerate(runs.items(), start=1):
        axes = figure.add_subplot(1, len(runs), index)
        axes.set_title(title, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes, {method: found[0] for method, found in by_method.items()})
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    columns = min(len(handles), 2 if len(runs) == 1 else 5)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
