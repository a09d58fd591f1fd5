"""Estimate the accuracy of a mask, with confidence intervals, from the answers to a sample of `segassess sample`.

Usage: segassess estimate sample=DIR [key=value ...]

  sample=DIR            folder of the sample
  answers=FILE[,FILE]   CSV or layers with the columns id and answer, of blocks id, wrong and missed (default: sample.csv and
                        sample.gpkg of the folder)
  confidence=0.95       number from 0.5 to 0.999: of the intervals
  method=stratified     stratified, or prediction_powered, which also uses P(error) of all pixels
  min_iou=NUMBER        exit with 1 unless the IoU is at least this with the given confidence, one-sided
  output=DIR            folder of estimate.json and estimate.csv (default: that of the sample)
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import Key, choice, read_keys, real
from segassess.errors import ConfigError

METHODS = ("stratified", "prediction_powered")
KEYS = {
    "sample": Key(needed="give the folder that segassess sample wrote as sample=DIR"),
    "answers": Key(),
    "confidence": real(0.95, 0.5, 0.999),
    "method": choice(METHODS, METHODS[0]),
    "min_iou": real(None, 0, 1),
    "output": Key(),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("estimate", KEYS, arguments)
    # Slow to import.
    from rich.console import Console
    from rich.table import Table

    from segassess.evaluation.sampled_accuracy.figures import NAMES, answered_sample
    from segassess.evaluation.sampled_accuracy.sample_files import BLOCKS, OBJECTS, PIXELS, read_sample
    from segassess.files import write_json
    from segassess.spreadsheets import write_rows

    folder = Path(keys["sample"])
    sample = read_sample(folder)
    units, powered = sample.units, keys["method"] == METHODS[1]
    if keys["min_iou"] is not None and units != PIXELS:
        raise ConfigError(f"min_iou is of pixels, and {folder} is a sample of {units}; draw one by units=pixels.")
    if powered and units == BLOCKS:
        raise ConfigError(f"method={METHODS[1]} is for pixels and objects; leave it out for blocks.")
    answered = answered_sample(folder, sample, keys["answers"])
    count, found = answered.count, answered.figures(keys["confidence"], prediction_powered=powered)
    rows = [{"figure": figure, **vars(value)} for figure, value in found.items()]
    method = "cluster" if units == BLOCKS else keys["method"].replace("_", "-")
    table = Table(title=f"{count} of {len(sample.points)} {units} answered, {method} estimates")
    table.add_column("figure")
    for heading in ("estimate", f"{100 * keys['confidence']:g} % interval", "standard error"):
        table.add_column(heading, justify="right")
    for row in rows:
        digits = {"truth_area_ha": 2, "true_objects": 0, "listed_true_objects": 0}.get(str(row["figure"]), 3)
        low, value, high, spread = (f"{row[part]:.{digits}f}" for part in ("low", "value", "high", "standard_error"))
        table.add_row(NAMES[str(row["figure"])], value, f"{low} to {high}", spread)
    strata = Table(title="What was seen, by how it was judged")
    strata.add_column("called")
    expected, share = ("expected errors", "errors each") if units == BLOCKS else ("mean P(error)", "share")
    for heading in (units, expected, "looks", "wrong", share):
        strata.add_column(heading, justify="right")
    seen = answered.strata()
    for row in seen:
        cells = (f"{row['expected']:.3f}", str(row["looks"]), str(row["wrong"]), f"{row['share']:.3f}")
        strata.add_row(row["stratum"], f"{row['size']:,}", *cells)
    console = Console()
    console.print(table)
    main_figure = {PIXELS: "iou", OBJECTS: "precision"}.get(units, "f1")
    if found[main_figure].more:
        print(
            f"About {found[main_figure].more} more looks, drawn likewise, would halve the interval of the {NAMES[main_figure]}."
        )
    if units == OBJECTS:
        print("Listed are those of the layer and those called missed; units=blocks also counts what neither has.")
    console.print(strata)
    output = Path(keys["output"] or folder)
    about = {"method": method, "confidence": keys["confidence"], "answered": count, "drawn": len(sample.points)}
    cleaned = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    write_json(output / "estimate.json", {**about, "units": units, "figures": cleaned, "strata": seen})
    write_rows(output / "estimate.csv", ("figure", "value", "low", "high", "standard_error", "more"), cleaned)
    print(f"Written: {output / 'estimate.json'}, {output / 'estimate.csv'}")
    if keys["min_iou"] is not None:
        # The lower end of a two-sided interval of this confidence is the one-sided bound.
        one_sided = answered.figures(2 * keys["confidence"] - 1, prediction_powered=powered)["iou"]
        passed = not math.isnan(one_sided.low) and one_sided.low >= keys["min_iou"]
        risk = 1 - keys["confidence"]
        print(
            f"{'Accepted' if passed else 'Not accepted'}: the IoU is at least {one_sided.low:.3f} at a one-sided risk of "
            f"{risk:.2g}; wanted is {keys['min_iou']:g}."
        )
        if not passed:
            sys.exit(1)
