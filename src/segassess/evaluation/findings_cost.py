"""`python -m segassess.evaluation.findings_cost image=FILE mask=FILE sides=5000,10000 [against=COMMIT]`: cost of many findings.

Prints the memory and CPU time that `segassess predict` takes for all but the judging, on one thread, as a Markdown table. The
scene is judged once; then its maps are laid out like tiles over squares with sides of so many pixels, and `predict` gathers
findings from these instead of judging, and writes all outputs. Image and mask are rasters; further KEY=VALUE go to `predict`.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyogrio

from segassess.errors import ConfigError, SegAssessError
from segassess.evaluation import tiled_judgement
from segassess.evaluation.commands import command_of, environment, run_measured, versions
from segassess.evaluation.scaling import write_mosaic


@dataclass(frozen=True)
class FindingsCost:
    """Cost of findings and outputs of a square scene; `megabytes_before` is the process's peak before the first finding."""

    version: str
    side: int
    errors: int
    objects: int
    cpu_seconds: float
    megabytes_before: float
    peak_megabytes: float


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = dict(each.split("=", 1) for each in given if "=" in each)
        if len(options) < len(given) or not {"image", "mask", "sides"} <= options.keys():
            raise ConfigError(
                "give image=FILE, mask=FILE and sides=PIXELS,..., and if wanted against=COMMIT and keys of predict.py."
            )
        sides, against = options.pop("sides").split(","), options.pop("against", None)
        if not all(side.isdecimal() and int(side) for side in sides):
            raise ConfigError(f"sides must be whole numbers of 1 or more with commas between, not {','.join(sides)}.")
        with tempfile.TemporaryDirectory() as folder, versions(against, Path(folder)) as sources:
            print_table(measure(sources, list(map(int, sides)), options, Path(folder)))
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def measure(sources: Mapping[str, Path], sides: Sequence[int], options: Mapping[str, str], folder: Path) -> list[FindingsCost]:
    """Costs by side and version, whose code lies in folders `sources`; `options` name image and mask, rasters of one size."""
    inputs = {key: Path(options[key]).resolve() for key in ("image", "mask")}
    others = [f"{key}={value}" for key, value in options.items() if key not in inputs]
    others += [f"hydra.run.dir={folder / 'run'}", "overwrite=true"]
    with environment(OMP_NUM_THREADS="1"):
        once = [*(f"{key}={path}" for key, path in inputs.items()), *others, f"output_dir={folder / 'once'}"]
        run_measured([*command_of("predict"), *once], subprocess.DEVNULL)
    maps = next((folder / "once").glob("*/quality.tif")).parent
    parts = {**inputs, "quality": maps / "quality.tif", "error": maps / "error.tif"}
    costs = []
    for side in sides:
        mosaics = {name: folder / str(side) / f"{name}.vrt" for name in parts}
        for name, path in mosaics.items():
            write_mosaic(path, parts[name], side, side)
        judged = [str(mosaics["quality"]), str(mosaics["error"])]
        for version, source in sources.items():
            # Large outputs of one scene are gone before those of the next come.
            with tempfile.TemporaryDirectory(dir=folder) as out, environment(PYTHONPATH=str(source), OMP_NUM_THREADS="1"):
                result = Path(out) / "spent.json"
                arguments = [*(f"{key}={mosaics[key]}" for key in inputs), *others, f"output_dir={out}"]
                run_measured([sys.executable, tiled_judgement.__file__, str(result), *judged, *arguments], subprocess.DEVNULL)
                found = [
                    pyogrio.read_info(next(Path(out).glob(f"*/{layer}.gpkg")), layer=layer)["features"]
                    for layer in ("errors", "objects")
                ]
                costs.append(FindingsCost(version, side, *found, **json.loads(result.read_text(encoding="utf-8"))))
    return costs


def print_table(costs: Sequence[FindingsCost]) -> None:
    """Print a row per side and version."""
    print("| version | side in pixels | errors | objects | CPU time | memory before | peak memory |")
    print("|---" * 7 + "|")
    for cost in costs:
        counts = " | ".join(f"{value:,}" for value in (cost.side, cost.errors, cost.objects))
        memory = " | ".join(f"{value:,.0f} MB" for value in (cost.megabytes_before, cost.peak_megabytes))
        print(f"| {cost.version} | {counts} | {cost.cpu_seconds:,.0f} s | {memory} |")


if __name__ == "__main__":
    main()
