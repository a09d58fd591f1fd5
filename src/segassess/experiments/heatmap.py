"""A table of one metric as a picture."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from segassess.experiments.matrix import ScoreMatrix
from segassess.files import atomic_path
from segassess.outputs.tables import number

# Colour-blind safe and readable in grey.
_MAP = "viridis"
_NO_VALUE = "#e4e4e4"
_FRAME = "#d55e00"


def write_heatmap(path: Path, grid: ScoreMatrix) -> None:
    """Draw a grid of values in [0, 1] as PNG: numbers in the cells, frames around marked ones, hatching without a value."""
    columns = [*grid.columns, *grid.apart]
    values = np.array([[grid.values.get((row, column), math.nan) for column in columns] for row in grid.rows], dtype=float)
    longest = max(map(len, grid.rows))
    figure = Figure(figsize=(2.6 + 0.085 * longest + 0.95 * len(columns), 2.4 + 0.6 * len(grid.rows)), layout="constrained")
    axes = figure.add_subplot()
    # A scale common to all pictures would waste most of the colours.
    top = max(0.1, math.ceil(10 * np.nanmax(values)) / 10) if np.isfinite(values).any() else 1.0
    image = axes.imshow(values, cmap=_MAP, vmin=0, vmax=top, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        corner = (column - 0.5, row - 0.5)
        if math.isnan(value):
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=_NO_VALUE, edgecolor="white", hatch="///", linewidth=0))
            continue
        axes.text(column, row, number(value), ha="center", va="center", color="black" if value > 0.6 * top else "white")
        if (grid.rows[row], columns[column]) in grid.marked:
            frame = Rectangle((column - 0.46, row - 0.45), 0.92, 0.9, fill=False, edgecolor=_FRAME, linewidth=2.5, zorder=3)
            axes.add_patch(frame)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(grid.rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    names = [*grid.columns, *(f"{name} (zero-shot)" for name in grid.apart)]
    axes.set_xticks(range(len(columns)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(grid.rows)), grid.rows)
    axes.set_xlabel("tested on")
    axes.set_ylabel(grid.corner)
    axes.set_title(grid.title + (" (framed: tested on what it was trained on)" if grid.marked else ""), fontsize=10, loc="left")
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
