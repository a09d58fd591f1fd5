"""A dry run of judging very many scenes on a Dask cluster: judging is replaced by sleep, sharing the work is real.

Usage: python -m segassess.cli.simulated_cluster [key=value ...]

Keys, with their defaults: scenes=100000, workers=2 (processes), threads=32 (of each, so many units at once), seconds=0.1 (mean
time of a unit; times are drawn from a log-normal distribution) and large=0.02 (share of the scenes that are cut into parts).
Prints the cost of sharing the work for each unit, and the memory of the process that holds scheduler and client.
"""

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from segassess.cli.keys import read_keys, real, whole
from segassess.errors import SegAssessError
from segassess.experiments.exits import stop
from segassess.predict.cluster import judge_on, local_cluster
from segassess.predict.progress import ScenesBar, scenes_progress
from segassess.predict.request import Judged

KEYS = {
    "scenes": whole(100_000, 1),
    "workers": whole(2, 1),
    "threads": whole(32, 1),
    "seconds": real(0.1, 0.001),
    "large": real(0.02, 0, 1),
}
# Bands of a large scene, and of the parts that it is cut into.
_BANDS, _PART = 64, 8
# Of the logarithm of a unit's time: the slowest one in a hundred takes four times as long as the median.
_SPREAD = 0.6


@dataclass(frozen=True)
class SleepingScenes:
    """Scenes that take a drawn time each, the same in every run; a `large` share of them is cut into parts."""

    count: int
    seconds: float
    large: float

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """See `Divisible`."""
        return f"scene {index}"

    def judge(self, index: int, *, most_bands: int | None = None) -> Judged:
        """See `Divisible`."""
        if most_bands is not None and self._random(index, 0).random() < self.large:
            return Judged(bands=_BANDS)
        time.sleep(self._time(index, 1))
        return Judged(rows=[{"name": self.name(index)}])

    def judge_part(self, index: int, bands: range) -> Judged:
        """See `Divisible`."""
        time.sleep(self._time(index, 2 + bands.start))
        return Judged()

    def _random(self, index: int, unit: int) -> np.random.Generator:
        return np.random.default_rng((index, unit))

    def _time(self, index: int, unit: int) -> float:
        return float(self._random(index, unit).lognormal(np.log(self.seconds) - _SPREAD**2 / 2, _SPREAD))


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("simulated_cluster", KEYS, arguments)
    request = SleepingScenes(keys["scenes"], keys["seconds"], keys["large"])
    slots = keys["workers"] * keys["threads"]
    units = 0

    def counted(done: int, known: int) -> None:
        nonlocal units
        units = done
        bar.units(done, known)

    with local_cluster(keys["workers"], keys["threads"]) as client, scenes_progress() as progress:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        bar = ScenesBar(progress, len(request))
        began, cpu = time.perf_counter(), time.process_time()
        for _ in judge_on(client, request, _PART, counted):
            bar.advance()
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table = Table("measure", "value", title=f"{len(request):,} scenes in {units:,} units, {slots} at once")
    table.add_row("time with no cost of sharing", f"{units * keys['seconds'] / slots:,.0f} s")
    table.add_row("time", f"{elapsed:,.0f} s")
    table.add_row("CPU time of scheduler and client for each unit", f"{1000 * cpu / units:.2f} ms")
    table.add_row("time beyond that of the units, for each unit", f"{1000 * (elapsed / units - keys['seconds'] / slots):.2f} ms")
    table.add_row(
        "memory of scheduler and client", f"{memory / 1024:,.0f} MB, {(memory - before) / 1024:,.0f} MB of it for the units"
    )
    Console().print(table)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SegAssessError as error:
        stop(error)
