"""`python -m segassess.evaluation.speed image=FILE mask=FILE [against=COMMIT]`: CPU time of `segassess predict` by part.

Prints CPU seconds on one thread as a Markdown table, beside those of an earlier commit. `repeats=3` runs each as often, in turn,
and the run with the least CPU time counts; further KEY=VALUE go to `predict`.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from segassess.errors import ConfigError, SegAssessError
from segassess.evaluation import speed_parts
from segassess.evaluation.commands import environment, run_measured, versions


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = dict(each.split("=", 1) for each in given if "=" in each)
        if len(options) < len(given) or not {"image", "mask"} <= options.keys():
            raise ConfigError(
                "give image=FILE and mask=FILE, and if wanted against=COMMIT, repeats=NUMBER and keys of predict.py."
            )
        against, repeats = options.pop("against", None), options.pop("repeats", "3")
        if not repeats.isdecimal() or int(repeats) < 1:
            raise ConfigError(f"repeats must be a whole number of 1 or more, not {repeats}.")
        with tempfile.TemporaryDirectory() as folder, versions(against, Path(folder)) as sources:
            print_table(measure(sources, options, int(repeats), Path(folder)))
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def measure(sources: Mapping[str, Path], options: Mapping[str, str], repeats: int, folder: Path) -> dict[str, dict[str, float]]:
    """CPU seconds by part of versions by name, whose code lies in folders `sources`; runs them in turn."""
    for key in ("image", "mask"):
        if not Path(options[key]).is_file():
            raise ConfigError(f"{key}={options[key]} does not exist; give a file.")
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for name, source in sources.items():
            result = folder / "parts.json"
            chosen = {**options, "output_dir": str(folder / "out"), "hydra.run.dir": str(folder / "run"), "overwrite": "true"}
            paths = {key: str(Path(chosen[key]).resolve()) for key in ("image", "mask")}
            arguments = [f"{key}={value}" for key, value in (chosen | paths).items()]
            with environment(PYTHONPATH=str(source), OMP_NUM_THREADS="1"):
                run_measured([sys.executable, speed_parts.__file__, str(result), *arguments], subprocess.DEVNULL)
            parts: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
            if name not in best or sum(parts.values()) < sum(best[name].values()):
                best[name] = parts
    return best


def print_table(measured: Mapping[str, Mapping[str, float]]) -> None:
    """Print a row per part and a column per version; the last column is the last version's share of the first."""
    names, versions = list(measured), list(measured.values())
    several = len(names) > 1
    print(f"| CPU seconds | {' | '.join(names)} |{' share |' if several else ''}")
    print("|---" * (1 + len(names) + several) + "|")
    rows = {part: [each[part] for each in versions] for part in versions[0]}
    work = [sum(row[index] for row in rows.values()) - versions[index][speed_parts.START] for index in range(len(names))]
    after = [work[index] - versions[index]["read"] - versions[index]["network"] for index in range(len(names))]
    totals = {"all but start": work, "all but start, read, network": after}
    for part, row in {**rows, **totals}.items():
        share = f" {row[-1] / row[0]:.2f} |" if several and row[0] > 0 else " |" if several else ""
        print(f"| {part} | {' | '.join(f'{value:.2f}' for value in row)} |{share}")


if __name__ == "__main__":
    main()
