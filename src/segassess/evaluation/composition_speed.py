"""`python -m segassess.evaluation.composition_speed [against=COMMIT] [sides=320,512]`: cost of the paper's composition.

Prints a Markdown table of CPU seconds on one thread, and of peak memory, beside those of an earlier commit, each in a process of
its own; see `composition_run.py`.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from segassess.errors import ConfigError, SegAssessError
from segassess.evaluation import composition_run
from segassess.evaluation.commands import environment, run_measured, versions

PASSES = {"forward": "forward", "six_masks": "forward, six masks", "backward": "forward and backward"}
RECOMPUTE = "the same with encoder.recompute"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = dict(each.split("=", 1) for each in given if "=" in each)
        if len(options) < len(given) or not options.keys() <= {"against", "sides"}:
            raise ConfigError("give against=COMMIT and sides=320,512, or neither.")
        sides = options.get("sides", "320,512").split(",")
        if not all(side.isdecimal() and int(side) >= 16 for side in sides):
            raise ConfigError(f"sides must be whole numbers from 16 on, not {options['sides']}.")
        with tempfile.TemporaryDirectory() as folder, versions(options.get("against"), Path(folder)) as sources:
            _print(sources, sides, Path(folder) / "result.json")
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def _print(sources: dict[str, Path], sides: list[str], result: Path) -> None:
    *earlier, here = sources
    cells = [f"{name}, CPU s" for name in sources] + ["times as fast"] * len(earlier)
    cells += [f"{name}, MB" for name in sources] + ["share"] * len(earlier)
    print(f"| side | pass | {' | '.join(cells)} |")
    print("|---" * (2 + len(cells)) + "|")
    for side in sides:
        found: list[list[float]] = []
        for what, name in {**PASSES, "recompute": RECOMPUTE}.items():
            if what == "recompute":  # which earlier versions do not have
                found[-1:] = [_measured(sources[here], side, what, result)]
            else:
                found = [_measured(source, side, what, result) for source in sources.values()]
            seconds, megabytes = zip(*found, strict=True)
            row = [f"{value:.2f}" for value in seconds] + [f"{value / seconds[-1]:.2f}" for value in seconds[: len(earlier)]]
            row += [f"{value:.0f}" for value in megabytes] + [
                f"{megabytes[-1] / value:.2f}" for value in megabytes[: len(earlier)]
            ]
            print(f"| {side} | {name} | {' | '.join(row)} |", flush=True)


def _measured(source: Path, side: str, what: str, result: Path) -> list[float]:
    with environment(PYTHONPATH=str(source), OMP_NUM_THREADS="1"):
        run_measured([sys.executable, composition_run.__file__, str(result), side, what], subprocess.DEVNULL)
    measured: list[float] = json.loads(result.read_text(encoding="utf-8"))
    return measured


if __name__ == "__main__":
    main()
