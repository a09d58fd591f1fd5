"""Quality by the share of a layer that is damaged: `python -m segassess.evaluation.damage_curve FOLDER`.

Reads `<method>_<share>/damage.json` below a folder, as `evaluate.py -m task=damage damage.share=...` leaves them, prints a table
and draws `curve.png`. The share is that of the damage that was done, which can be less than what was asked for.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from segassess.errors import InputError, SegAssessError
from segassess.evaluation.curves import line_style
from segassess.evaluation.layer_damage import INVENTED, KEPT, REMOVED, SHIFTED
from segassess.files import atomic_path
from segassess.outputs.tables import number

# Mean IoU of FP and FN pixels by share of damaged polygons, by method.
Curves = dict[str, dict[float, float]]


def read_curves(folder: Path) -> Curves:
    """Results below a folder; raises InputError if there are none."""
    curves: Curves = defaultdict(dict)
    for path in sorted(folder.glob("*_*/damage.json")):
        content = json.loads(path.read_text())
        curves[path.parent.name.rpartition("_")[0]][_share(content)] = float(np.mean(list(content["pixels"].values())))
    if not curves:
        raise InputError(f"{folder} has no results named <method>_<share>/damage.json.")
    return {method: dict(sorted(points.items())) for method, points in curves.items()}


def _share(content: Mapping[str, Any]) -> float:
    """Polygons removed, shifted or invented, as a share of those that the layer had on the image."""
    kept, shifted, invented = (sum(content["verdicts"][kind].values()) for kind in (KEPT, SHIFTED, INVENTED))
    removed = content["found"]["FN"][REMOVED]["pieces"]
    return float((removed + shifted + invented) / (kept + removed + shifted))


def draw_curves(path: Path, curves: Curves) -> None:
    """Draw the curves as PNG."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for index, (method, points) in enumerate(curves.items()):
        axes.plot(
            [100 * share for share in points], list(points.values()), marker="o", label=f"fit={method}", **line_style(index)
        )
    axes.set(xlabel="damaged polygons in %", ylabel="mean IoU of FP and FN pixels", xlim=(0, None), ylim=(0, 1))
    axes.legend()
    with atomic_path(path) as beside:
        figure.savefig(beside, format="png")


def main(arguments: list[str] | None = None) -> None:
    """Print and draw the curves of the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m segassess.evaluation.damage_curve", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the results")
    folder: Path = parser.parse_args(arguments).folder
    try:
        curves = read_curves(folder)
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    shares = sorted({share for points in curves.values() for share in points})
    print(f"| damaged | {' | '.join(curves)} |\n|---|{'---|' * len(curves)}")
    for share in shares:
        values = (number(points[share]) if share in points else "" for points in curves.values())
        print(f"| {share:.0%} | {' | '.join(values)} |")
    draw_curves(folder / "curve.png", curves)


if __name__ == "__main__":
    main()
