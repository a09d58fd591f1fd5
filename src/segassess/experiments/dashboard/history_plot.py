"""Curves of a training."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segassess.evaluation.curves import line_style
from segassess.files import atomic_path

# Logged names by panel; empty panels are left out.
PANELS = {
    "loss and its terms": r"train/(?!learning_rate|views_per_s|megapixels_per_s)(.+)",
    "FP/FN mIoU on validation tiles": r"valid/(?:(.+)/)?fp_fn_miou",
    "IoU of the classes": r"valid/(tp|fp|tn|fn)_iou",
    "IoU of the segmenter's masks": r"valid/(iou|boundary_iou)",
    "learning rate": r"train/(learning_rate)",
    "throughput (Mpx/s)": r"train/(megapixels_per_s)",
}
_COLUMNS = 3
# In this order, lines have the usual colours of the classes.
_CLASSES = ("fn", "fp", "tp", "tn")


def write_history_plot(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Draw logged values by epoch as PNG; each row has its `epoch`, other names may be missing."""
    names = dict.fromkeys(name for row in rows for name in row)
    panels = {
        title: {found[1] or "all sources": name for name in names if (found := re.fullmatch(pattern, name))}
        for title, pattern in PANELS.items()
    }
    panels = {title: _ordered(lines) for title, lines in panels.items() if lines}
    lines_of_panels = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(4.2 * _COLUMNS, 3.2 * max(1, lines_of_panels)), layout="constrained")
    for number, (title, lines) in enumerate(panels.items(), start=1):
        _draw(figure.add_subplot(lines_of_panels, _COLUMNS, number), title, lines, rows)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _ordered(lines: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(lines.items(), key=lambda line: _CLASSES.index(line[0]) if line[0] in _CLASSES else 0))


def _draw(axes: Axes, title: str, lines: Mapping[str, str], rows: Sequence[Mapping[str, float]]) -> None:
    for index, (label, name) in enumerate(lines.items()):
        points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), marker=".", label=label, **line_style(index))
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("epochs", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if len(lines) > 1:
        axes.legend(fontsize=7, frameon=False)
