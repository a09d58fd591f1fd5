"""Estimate the accuracy of a mask, with confidence intervals, from the answers to a sample of `segassess sample`.

Usage: segassess estimate sample=DIR [key=value ...]

  sample=DIR            folder of the sample
  answers=FILE[,FILE]   CSV or layers with the columns id and answer (default: sample.csv and sample.gpkg of the folder)
  confidence=0.95       number from 0.5 to 0.999: of the intervals
  method=stratified     stratified, or prediction_powered, which also uses P(error) of all pixels
  min_iou=NUMBER        exit with 1 unless the IoU is at least this with the given confidence, one-sided
  output=DIR            folder of estimate.json and estimate.csv (default: that of the sample)
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segassess.cli.keys import Key, choice, read_keys, real
from segassess.errors import RequestError

METHODS = ("stratified", "prediction_powered")
KEYS = {
    "sample": Key(needed="give the folder that segassess sample wrote as sample=DIR"),
    "answers": Key(),
    "confidence": real(0.95, 0.5, 0.999),
    "method": choice(METHODS, METHODS[0]),
    "min_iou": real(None, 0, 1),
    "output": Key(),
}
# Figures with the field's other names for them.
_NAMES = {
    "iou": "IoU",
    "f1": "F1",
    "precision": "precision, user's accuracy",
    "recall": "recall, producer's accuracy",
    "error_share": "share of wrong pixels",
    "truth_share": "share of the object in truth",
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("estimate", KEYS, arguments)
    # Slow to import.
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from segassess.evaluation.sampled_accuracy.estimates import Looks, estimate
    from segassess.evaluation.sampled_accuracy.sample_files import given_answers, read_sample
    from segassess.files import write_json
    from segassess.spreadsheets import write_rows

    folder = Path(keys["sample"])
    sample = read_sample(folder)
    answers = given_answers(folder, keys["answers"], sample.points)
    wrong: list[list[bool]] = [[] for _ in sample.strata]
    error: list[list[float]] = [[] for _ in sample.strata]
    for each, answer in answers.items():
        index, inside, p_error = sample.points[each]
        if answer is not None:
            wrong[index].append(answer != inside)
            error[index].append(p_error)
    looks = [Looks(np.array(seen, bool), np.array(said, float)) for seen, said in zip(wrong, error, strict=True)]
    bare = [stratum.name for stratum, seen in zip(sample.strata, looks, strict=True) if len(seen) < min(2, stratum.size)]
    count = sum(map(len, looks))
    if bare:
        raise RequestError(
            f"{count} of {len(sample.points)} points have an answer, fewer than two of the pixels called {bare[0]}; go on until "
            "each kind has some."
        )
    options: dict[str, Any] = {"prediction_powered": keys["method"] == METHODS[1]}
    found = {figure: estimate(figure, sample.strata, looks, confidence=keys["confidence"], **options) for figure in _NAMES}
    rows = [{"figure": figure, **vars(value)} for figure, value in found.items()]
    if sample.pixel_area_m2 is not None:
        hectares = sample.pixel_area_m2 * sum(stratum.size for stratum in sample.strata) / 1e4
        rows.append({"figure": "truth_area_ha", **vars(found["truth_share"].times(hectares))})
    table = Table(title=f"{count} of {len(sample.points)} points answered, {keys['method'].replace('_', '-')} estimates")
    table.add_column("figure")
    for heading in ("estimate", f"{100 * keys['confidence']:g} % interval", "standard error"):
        table.add_column(heading, justify="right")
    for row in rows:
        digits = 2 if row["figure"] == "truth_area_ha" else 3
        name = _NAMES.get(str(row["figure"]), "area of the object, ha")
        low, value, high, spread = (f"{row[part]:.{digits}f}" for part in ("low", "value", "high", "standard_error"))
        table.add_row(name, value, f"{low} to {high}", spread)
    strata = Table(title="What was seen, by how it was judged")
    strata.add_column("pixels called")
    for heading in ("pixels", "mean P(error)", "looks", "mask wrong", "share"):
        strata.add_column(heading, justify="right")
    seen_rows = []
    for stratum, seen in zip(sample.strata, looks, strict=True):
        if stratum.size:
            share = float(seen.wrong.mean())
            seen_rows.append(
                {"stratum": stratum.name, "pixels": stratum.size, "looks": len(seen), "wrong": int(seen.wrong.sum())}
            )
            cells = (f"{stratum.mean_error:.3f}", str(len(seen)), str(int(seen.wrong.sum())), f"{share:.3f}")
            strata.add_row(stratum.name, f"{stratum.size:,}", *cells)
    console = Console()
    console.print(table)
    print(f"About {found['iou'].more} more looks, drawn likewise, would halve the interval of the IoU.")
    console.print(strata)
    output = Path(keys["output"] or folder)
    about = {"method": keys["method"], "confidence": keys["confidence"], "answered": count, "drawn": len(sample.points)}
    cleaned = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    write_json(output / "estimate.json", {**about, "figures": cleaned, "strata": seen_rows})
    write_rows(output / "estimate.csv", ("figure", "value", "low", "high", "standard_error", "more"), cleaned)
    print(f"Written: {output / 'estimate.json'}, {output / 'estimate.csv'}")
    if keys["min_iou"] is not None:
        # The lower end of a two-sided interval of this confidence is the one-sided bound.
        one_sided = estimate("iou", sample.strata, looks, confidence=2 * keys["confidence"] - 1, **options)
        passed = not math.isnan(one_sided.low) and one_sided.low >= keys["min_iou"]
        risk = 1 - keys["confidence"]
        print(
            f"{'Accepted' if passed else 'Not accepted'}: the IoU is at least {one_sided.low:.3f} at a one-sided risk of "
            f"{risk:.2g}; wanted is {keys['min_iou']:g}."
        )
        if not passed:
            sys.exit(1)
