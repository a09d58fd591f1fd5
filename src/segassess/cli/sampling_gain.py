"""What strata by the quality map save: intervals of simulated samples beside those of simple random sampling.

Usage: python -m segassess.cli.sampling_gain input=DIR truth=PATH [key=value ...]

DIR is the output_dir of `segassess predict`; PATH is the ground truth, a raster or layer on any grid, or for several masks a
folder of such files that have their names. Answers come from it. A simple random sample is divided by the mask afterwards
(post-strata), which costs nothing and is what one would do without a quality map.
Further keys, with their defaults: looks=200, repeats=1000, seed=1.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from segassess.cli.keys import PREDICTED, Key, read_keys, whole
from segassess.errors import SegAssessError
from segassess.evaluation.sampled_accuracy.gain import agreement, by_mask, simulate, wrong_pixels
from segassess.evaluation.sampled_accuracy.points import count_strata
from segassess.experiments.exits import stop
from segassess.outputs.judged_folder import judged_folders

KEYS = {
    "input": PREDICTED,
    "truth": Key(needed="give the ground truth as truth=PATH"),
    "looks": whole(200, 50),
    "repeats": whole(1000, 10),
    "seed": whole(1, 0),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("sampling_gain", KEYS, arguments)
    masks = judged_folders(Path(keys["input"]))
    strata, _ = count_strata(masks)
    wrong = wrong_pixels(masks, Path(keys["truth"]), len(strata))
    kept = [index for index, stratum in enumerate(strata) if stratum.size]
    strata, wrong = [strata[index] for index in kept], wrong[kept]
    (mask, _), (false, missing) = by_mask(strata, wrong)
    true = float((mask.size - false) / (mask.size + missing))
    table = Table(title=f"{keys['repeats']} samples of {keys['looks']} looks; the mask's IoU is {true:.3f}")
    table.add_column("design")
    for heading in ("width of the 95 % interval", "covers the truth", "error of the estimate", "looks for the same error"):
        table.add_column(heading, justify="right")
    spread = []
    for name, parts, stratified in (("simple random", by_mask(strata, wrong), False), ("by quality map", (strata, wrong), True)):
        rng = np.random.default_rng(keys["seed"])
        found = [simulate(*parts, keys["looks"], rng, stratified) for _ in range(keys["repeats"])]
        spread.append(float(np.sqrt(np.mean([(each.value - true) ** 2 for each in found]))))
        width = float(np.mean([each.high - each.low for each in found]))
        covered = float(np.mean([each.low <= true <= each.high for each in found]))
        share = (spread[-1] / spread[0]) ** 2 if spread[0] else float("nan")
        table.add_row(name, f"{width:.3f}", f"{covered:.3f}", f"{spread[-1]:.4f}", f"{share:.2f}")
    Console().print(table)
    agreed = agreement(masks, Path(keys["truth"]))
    print(
        f"P(error) of all pixels beside the truth: Brier score {agreed['brier']:.4f}, ECE {agreed['ece']:.4f}, "
        f"mean {agreed['predicted']:.4f}; {agreed['wrong']:.4f} of the pixels are wrong."
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SegAssessError as error:
        stop(error)
