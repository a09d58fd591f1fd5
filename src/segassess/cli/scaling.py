"""`evaluate.py task=scaling`: what the size of a scene and the choice of windows cost `predict.py`."""

import logging
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.cli.app import script_command
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.mosaic import write_mosaic
from segassess.files import write_json
from segassess.findings.bands import NODATA, PROBABILITY_STEPS

log = logging.getLogger(__name__)

RESULT = "scaling.json"
_ROWS = 512
# What this command says in place of the user.
_OWN_KEYS = ("task", "image", "mask", "output_dir", "scaling", "overwrite", "hydra")


@dataclass(frozen=True)
class Cost:
    """What judging a scene took.

    Attributes:
        height: of the scene in pixels.
        width: likewise.
        seconds: by the clock, with the start of the process.
        peak_megabytes: largest resident memory of the process.
        errors: number of error polygons that were written.
    """

    height: int
    width: int
    seconds: float
    peak_megabytes: float
    errors: int

    @property
    def megapixels(self) -> float:
        """Area of the scene."""
        return self.height * self.width / 1e6


@dataclass(frozen=True)
class Difference:
    """How far two judgements of a scene are apart.

    Attributes:
        window: of the second one, in pixels.
        overlap: likewise.
        other_class: share of the pixels that are called another class.
        mean_error: mean absolute difference of P(error).
        percentile_99_error: its 99th percentile.
    """

    window: int
    overlap: int
    other_class: float
    mean_error: float
    percentile_99_error: float


def run(config: DictConfig) -> float:
    """Judge mosaics and windows, print both tables; returns the megapixels per second of the largest mosaic."""
    settings, output = build.plain(config.scaling), Path(config.output_dir)
    for key in ("sizes", "windows"):
        if any(not isinstance(pair, list) or len(pair) != 2 for pair in settings[key]):
            raise ConfigError(f"scaling.{key} must be a list of pairs of numbers, not {settings[key]}.")
    given = [each for each in HydraConfig.get().overrides.task if each.lstrip("+~").split("=")[0].split(".")[0] not in _OWN_KEYS]
    costs = []
    for height, width in settings["sizes"]:
        folder = output / f"{height}x{width}"
        paths = {}
        for key in ("image", "mask"):
            paths[key] = folder / f"{key}.vrt"
            write_mosaic(paths[key], str(config[key]), height, width)
        costs.append(_judge(height, width, [f"image={paths['image']}", f"mask={paths['mask']}", *given], folder))
        log.info("%d x %d px: %.0f s, %.0f MB.", height, width, costs[-1].seconds, costs[-1].peak_megabytes)
    differences = _compare(config, settings["windows"], given, output)
    write_json(output / RESULT, {"sizes": [asdict(cost) for cost in costs], "windows": [asdict(each) for each in differences]})
    _print(costs, differences, settings["windows"])
    return costs[-1].megapixels / costs[-1].seconds if costs else 0.0


def _judge(height: int, width: int, arguments: list[str], folder: Path) -> Cost:
    """Run `predict.py` in a process of its own."""
    began = time.monotonic()
    command = [*script_command("predict"), *arguments, f"output_dir={folder / 'out'}", "overwrite=true"]
    process = subprocess.Popen(command)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        process.wait()
        raise
    if code := os.waitstatus_to_exitcode(status):
        raise RequestError(f"predict.py ended with exit code {code}; see above.")
    seconds = time.monotonic() - began
    errors = sum(pyogrio.read_info(layer)["features"] for layer in (folder / "out").glob("*/errors.gpkg"))
    return Cost(height, width, seconds, usage.ru_maxrss / 1024, errors)


def _compare(config: DictConfig, windows: list[list[int]], given: list[str], output: Path) -> list[Difference]:
    first: Path | None = None
    differences = []
    for window, overlap in windows:
        folder = output / f"window_{window}_{overlap}"
        own = [f"image={config.image}", f"mask={config.mask}", *given, f"tiling.window={window}", f"tiling.overlap={overlap}"]
        _judge(0, 0, own, folder)
        maps = next((folder / "out").glob("*/quality.tif")).parent
        if first is None:
            first = maps
        else:
            differences.append(Difference(window, overlap, *_difference(first, maps)))
    return differences


def _difference(one: Path, other: Path) -> tuple[float, float, float]:
    pixels = changed = 0
    steps = np.zeros(PROBABILITY_STEPS + 1, np.int64)
    with (
        rasterio.open(one / "quality.tif") as quality,
        rasterio.open(other / "quality.tif") as other_quality,
        rasterio.open(one / "error.tif") as error,
        rasterio.open(other / "error.tif") as other_error,
    ):
        for top in range(0, quality.height, _ROWS):
            window = Window(0, top, quality.width, min(_ROWS, quality.height - top))
            codes, others = quality.read(1, window=window), other_quality.read(1, window=window)
            known = (codes != NODATA) & (others != NODATA)
            pixels += int(known.sum())
            changed += int((codes[known] != others[known]).sum())
            apart = np.abs(error.read(1, window=window)[known].astype(int) - other_error.read(1, window=window)[known])
            steps += np.bincount(apart, minlength=len(steps))
    mean = float((steps * np.arange(len(steps))).sum() / pixels / PROBABILITY_STEPS)
    return changed / pixels, mean, float(np.searchsorted(np.cumsum(steps), 0.99 * pixels) / PROBABILITY_STEPS)


def _print(costs: list[Cost], differences: list[Difference], windows: list[list[int]]) -> None:
    console = Console(width=120)
    table = Table(title="Size and cost")
    for heading in ("pixels", "megapixels", "seconds", "megapixels / s", "s per megapixel, to the first", "peak MB", "errors"):
        table.add_column(heading, justify="right")
    for cost in costs:
        relative = (cost.seconds / cost.megapixels) / (costs[0].seconds / costs[0].megapixels)
        row = f"{cost.height} x {cost.width}", f"{cost.megapixels:.1f}", f"{cost.seconds:.0f}"
        rates = f"{cost.megapixels / cost.seconds:.3f}", f"{relative:.2f}"
        table.add_row(*row, *rates, f"{cost.peak_megabytes:.0f}", str(cost.errors))
    console.print(table)
    if not differences:
        return
    comparison = Table(title=f"Windows, beside {windows[0][0]} px with an overlap of {windows[0][1]} px")
    for heading in ("window", "overlap", "pixels of another class", "mean |P(error)| apart", "99th percentile"):
        comparison.add_column(heading, justify="right")
    for each in differences:
        shares: tuple[Any, ...] = f"{100 * each.other_class:.3f} %", f"{each.mean_error:.4f}", f"{each.percentile_99_error:.3f}"
        comparison.add_row(str(each.window), str(each.overlap), *shares)
    console.print(comparison)
