"""Runs of a sweep as a picture: an axis per varied key and for the objective, a line per run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from segassess.files import atomic_path

# Colour-blind safe; without the brightest part, which is hard to see on white.
_MAP = "viridis"
_BRIGHTEST = 0.9
_UNFINISHED = "#b0b0b0"
# Smallest ratio of largest to smallest value for a logarithmic axis.
_LOGARITHMIC = 20.0


@dataclass(frozen=True)
class Axis:
    """One axis; places, of runs (NaN without a value) and of ticks, are in [0, 1]."""

    places: Sequence[float]
    ticks: Sequence[float]
    labels: Sequence[str]


def make_axis(values: Sequence[str]) -> Axis:
    """An axis for a key's values as typed: linear or logarithmic for numbers, else a place each."""
    known = list(dict.fromkeys(value for value in values if value))
    try:
        numbers = np.array([float(value) if value else math.nan for value in values])
    except ValueError:
        numbers = np.full(len(values), math.nan)
    if not np.isfinite(numbers).any():
        steps = dict(zip(known, np.linspace(0, 1, len(known)) if len(known) > 1 else [0.5], strict=True))
        return Axis([float(steps.get(value, math.nan)) for value in values], list(map(float, steps.values())), known)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    logarithmic = low > 0 and high / low >= _LOGARITHMIC
    scaled = np.log(numbers) if logarithmic else numbers
    bottom, span = float(np.nanmin(scaled)), float(np.nanmax(scaled) - np.nanmin(scaled))
    places = (scaled - bottom) / span if span else np.where(np.isfinite(scaled), 0.5, math.nan)
    distinct = sorted({number for number in numbers.tolist() if math.isfinite(number)})
    if len(distinct) > 5:
        distinct = [float(np.exp(value) if logarithmic else value) for value in np.linspace(bottom, bottom + span, 5)]
    ticks = [((math.log(number) if logarithmic else number) - bottom) / span if span else 0.5 for number in distinct]
    return Axis(places.tolist(), ticks, [f"{number:.3g}" for number in distinct])


def write_parallel_coordinates(path: Path, values: Mapping[str, Sequence[str]], name: str, objectives: Sequence[float]) -> None:
    """Draw runs as PNG, coloured by objective, or grey and dashed where it is NaN.

    `values` has the typed value of each run by varied key, and `name` is that of the objective.
    """
    axes_of = [make_axis(column) for column in values.values()]
    axes_of.append(make_axis([repr(float(value)) if math.isfinite(value) else "" for value in objectives]))
    figure = Figure(figsize=(2.2 + 1.9 * len(axes_of), 4.2), layout="constrained")
    axes = figure.add_subplot()
    finite = [value for value in objectives if math.isfinite(value)]
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    colours = colormaps[_MAP]
    # Lines with shared values hide one another, so the best is drawn last.
    for run in sorted(range(len(objectives)), key=lambda run: objectives[run] if math.isfinite(objectives[run]) else -math.inf):
        line = [axis.places[run] for axis in axes_of]
        if math.isfinite(objectives[run]):
            share = (objectives[run] - low) / span
            width = 3.0 if share == 1 else 1.6
            axes.plot(line, color=colours(_BRIGHTEST * share), linewidth=width, marker="o", markersize=4, zorder=2 + share)
        else:
            axes.plot(line, color=_UNFINISHED, linewidth=1.2, linestyle="--", marker="o", markersize=3, zorder=1)
    for position, axis in enumerate(axes_of):
        axes.axvline(position, color="black", linewidth=0.8, zorder=0)
        for tick, label in zip(axis.ticks, axis.labels, strict=True):
            place = (position, tick)
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.8, "edgecolor": "none"}
            axes.annotate(label, place, (6, 0), textcoords="offset points", va="center", fontsize=8, bbox=box, zorder=5)
    axes.set_xticks(range(len(axes_of)), [_short(key) for key in [*values, name]], fontsize=9)
    axes.set_yticks([])
    axes.set_xlim(-0.3, len(axes_of) - 0.45)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    title = "A line per run, brighter with a higher objective; the best is thick"
    axes.set_title(title + ("; dashed: not finished" if len(finite) < len(objectives) else ""), fontsize=9, loc="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _short(key: str) -> str:
    """The last two parts of a key, in two lines."""
    return "\n".join(key.rsplit(".", 2)[-2:])
