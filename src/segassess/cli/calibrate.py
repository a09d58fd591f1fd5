"""Correct P(error) by the answers to a sample of `segassess sample`, for `segassess predict calibration=FILE`.

Usage: segassess calibrate sample=DIR [key=value ...]

  sample=DIR            folder of the sample
  answers=FILE[,FILE]   CSV or layers with the columns id and answer (default: sample.csv and sample.gpkg of the folder)
  output=DIR            folder of calibration.json (default: that of the sample)

It prints how well P(error) agrees with what was seen, before and after, by cross-validation. docs/how-to/sign-a-figure.md
"""

from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import Key, read_keys
from segassess.errors import RequestError

KEYS = {"sample": Key(needed="give the folder that segassess sample wrote as sample=DIR"), "answers": Key(), "output": Key()}
# So many looks are needed inside the mask, and outside; a curve through fewer is luck.
_LEAST = 20
# Standard errors beyond which a gain is more than chance, with 95 %.
_CLEAR = 1.96


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("calibrate", KEYS, arguments)
    # Slow to import.
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from segassess.evaluation.sampled_accuracy import recalibration
    from segassess.evaluation.sampled_accuracy.sample_files import GIVE_ANSWERS, PIXELS, RECORD, own_or, read_answers, read_sample
    from segassess.models.calibration import Calibration
    from segassess.models.recalibration import CALIBRATION, NEEDED_DECODING, Recalibration

    folder = Path(keys["sample"])
    sample = read_sample(folder)
    judge = sample.judge
    if sample.units != PIXELS:
        raise RequestError(f"{folder} is a sample of {sample.units}, and P(error) is that of pixels; draw one by units=pixels.")
    if judge is None:
        raise RequestError(f"{folder / RECORD} does not say by which assessor it was judged; draw the sample again.")
    if judge.decoding != NEEDED_DECODING:
        raise RequestError(f"{folder} was judged with decoding={judge.decoding}; judge with decoding={NEEDED_DECODING} instead.")
    files = own_or(folder, keys["answers"])
    answers = read_answers(files, sample.points)
    rows = [(*sample.points[each], answer) for each, answer in answers.items() if answer is not None]
    stratum, inside, error, answer = (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 4
    sizes = np.array([stratum.size for stratum in sample.strata])
    seen = recalibration.SeenPixels(error, answer != inside, inside.astype(bool), stratum.astype(int), sizes)
    if not rows:
        raise RequestError(f"0 of {len(sample.points)} points have an answer in {', '.join(map(str, files))}; {GIVE_ANSWERS}")
    bare = [each.name for each, count in zip(sample.strata, seen.counts, strict=True) if count < min(2, each.size)]
    if bare or min(inside.sum(), (~seen.inside).sum()) < _LEAST:
        missing = f"fewer than two of the pixels called {bare[0]}" if bare else f"fewer than {_LEAST} in the mask or outside"
        raise RequestError(f"{len(rows)} of {len(sample.points)} points have an answer, {missing}; go on, or draw more.")
    correction, after = recalibration.fit_correction(seen), recalibration.cross_validated(seen)
    gain = recalibration.brier_gain(seen, after)
    compared = {"before": recalibration.scores(seen, seen.error), "after": recalibration.scores(seen, after)}
    table = Table(title=f"P(error) beside {len(rows)} looks, each counted for the pixels it stands for")
    table.add_column("")
    for heading in ("Brier score", "ECE", "mean P(error)", "wrong pixels"):
        table.add_column(heading, justify="right")
    for name, found in compared.items():
        label = "as predicted" if name == "before" else "corrected, cross-validated"
        table.add_row(label, *(f"{found[part]:.4f}" for part in ("brier", "ece", "predicted", "wrong")))
    Console().print(table)
    for name, (scale, shift) in (("FP", correction.fp), ("FN", correction.fn)):
        print(f"Log-odds of {name}: times {scale:.2f}, {shift:+.2f}.")
    path = Path(keys["output"] or folder) / CALIBRATION
    whole = Calibration.from_dict(judge.recalibration).then(correction)
    about = {"looks": len(rows), **compared, "brier_gain": gain.value, "brier_gain_error": gain.standard_error}
    Recalibration(whole, judge.checkpoint, judge.fitted).write(path, about)
    print(f"The Brier score gains {gain.value:.4f}, with a standard error of {gain.standard_error:.4f}. Written: {path}")
    if gain.value <= _CLEAR * gain.standard_error:
        print("That is within what chance may do: draw more looks, or leave P(error) as it is.")
