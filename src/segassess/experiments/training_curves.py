"""Quality by the number of crops seen: `python -m segassess.experiments.training_curves OUTPUT.png NAME=RUN...`.

Reads the configuration and `tables/history.csv` of trainings (folders that `train.py` left), prints the FP/FN mIoU on their
selection tiles, and draws it over the crops on a log axis. Runs of the same name are its seeds: their mean, and their range as a
band. A run that went on from a checkpoint counts its own crops only.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import OmegaConf

from segassess.errors import InputError, SegAssessError
from segassess.evaluation.curves import line_style
from segassess.files import atomic_path
from segassess.outputs.tables import number
from segassess.training.module import MONITORED

# Crops seen and the value there, by run.
Curve = dict[int, float]


def read_curve(run: Path) -> Curve:
    """FP/FN mIoU of a run by crops seen; raises InputError if the folder holds no validated training."""
    config, logged = run / ".hydra" / "config.yaml", run / "tables" / "history.csv"
    if not (config.is_file() and logged.is_file()):
        raise InputError(f"{run} is no folder of a training: it needs .hydra/config.yaml and tables/history.csv.")
    sampling = OmegaConf.load(config).sampling
    if sampling.views is None:
        raise InputError(f"{run} draws a view per source, so the number of its crops is not known; set sampling.views.")
    per_step = int(sampling.images_per_batch) * int(sampling.views)
    with logged.open(newline="") as file:
        rows = [(int(row["step"]), row.get(MONITORED)) for row in csv.DictReader(file)]
    curve = {step * per_step: float(value) for step, value in rows if value}
    if not curve:
        raise InputError(f"{logged} has no value of {MONITORED}, so nothing can be drawn.")
    return curve


def over_seeds(curves: Sequence[Curve]) -> tuple[list[int], NDArray[np.float64]]:
    """Numbers of crops that all curves have a value at, and these values, float64 (curves, points)."""
    crops = sorted(set.intersection(*(set(curve) for curve in curves)))
    return crops, np.array([[curve[point] for point in crops] for curve in curves])


def draw_curves(path: Path, curves: dict[str, list[Curve]]) -> None:
    """Draw the curves as PNG."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, seeds) in enumerate(curves.items()):
        crops, values = over_seeds(seeds)
        style = line_style(index)
        axes.plot(crops, values.mean(axis=0), marker="o", markersize=4, label=name, **style)
        axes.fill_between(crops, values.min(axis=0), values.max(axis=0), alpha=0.2, color=style["color"], linewidth=0)
    axes.set(xlabel="crops seen", ylabel="FP/FN mIoU on the selection tiles", xscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with atomic_path(path) as beside:
        figure.savefig(beside, format="png", dpi=120)


def _named_run(text: str) -> tuple[str, Path]:
    name, equals, run = text.partition("=")
    if not (name and equals and run):
        raise argparse.ArgumentTypeError(f"{text} is not of the form NAME=RUN")
    return name, Path(run)


def main(arguments: list[str] | None = None) -> None:
    """Print and draw the curves of the runs that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m segassess.experiments.training_curves", description=__doc__)
    parser.add_argument("output", type=Path, metavar="OUTPUT.png", help="picture to write")
    parser.add_argument("runs", type=_named_run, nargs="+", metavar="NAME=RUN", help="a name and the folder of a training")
    options = parser.parse_args(arguments)
    curves: dict[str, list[Curve]] = defaultdict(list)
    try:
        for name, run in options.runs:
            curves[name].append(read_curve(run))
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    print("| method | trainings | crops seen | FP/FN mIoU | standard deviation |\n|---|---|---|---|---|")
    for name, seeds in curves.items():
        crops, values = over_seeds(seeds)
        deviations = values.std(axis=0, ddof=1) if len(seeds) > 1 else [None] * len(crops)
        for place, (point, deviation) in enumerate(zip(crops, deviations, strict=True)):
            mean = number(float(values[:, place].mean()))
            print(f"| {name} | {len(seeds)} | {point:,} | {mean} | {'' if deviation is None else number(float(deviation))} |")
    draw_curves(options.output, curves)


if __name__ == "__main__":
    main()
