"""Cost of `segassess predict` by size of scene, and effect of its windows; runs in processes of its own."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
from rasterio.windows import Window

from segassess.evaluation.commands import Spent, command_of, run_measured
from segassess.evaluation.mosaic import write_mosaic
from segassess.findings.bands import NODATA, PROBABILITY_STEPS

log = logging.getLogger(__name__)

_ROWS = 512


@dataclass(frozen=True)
class Cost:
    """Cost of judging a scene of `height` x `width` pixels; seconds include the start of the process, errors are polygons."""

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
    """Distance of a judgement in windows of `window` and `overlap` pixels from the first one.

    `other_class` is the share of pixels with another class; the others are absolute differences of P(error).
    """

    window: int
    overlap: int
    other_class: float
    mean_error: float
    percentile_99_error: float


def measure_sizes(image: str, mask: str, sizes: Sequence[tuple[int, int]], overrides: Sequence[str], output: Path) -> list[Cost]:
    """Judge mosaics of a scene in several sizes (height, width), each below `output`."""
    costs = []
    for height, width in sizes:
        folder = output / f"{height}x{width}"
        paths = {"image": folder / "image.vrt", "mask": folder / "mask.vrt"}
        for path, source in zip(paths.values(), (image, mask), strict=True):
            write_mosaic(path, source, height, width)
        spent = _judge([*(f"{key}={path}" for key, path in paths.items()), *overrides], folder)
        errors = sum(pyogrio.read_info(layer)["features"] for layer in (folder / "out").glob("*/errors.gpkg"))
        costs.append(Cost(height, width, spent.seconds, spent.peak_megabytes, errors))
        log.info("%d x %d px: %.0f s, %.0f MB.", height, width, spent.seconds, spent.peak_megabytes)
    return costs


def compare_windows(
    image: str, mask: str, windows: Sequence[tuple[int, int]], overrides: Sequence[str], output: Path
) -> list[Difference]:
    """Judge a scene with several (window, overlap) pairs and compare each with the first."""
    maps = []
    for window, overlap in windows:
        folder = output / f"window_{window}_{overlap}"
        own = f"image={image}", f"mask={mask}", f"tiling.window={window}", f"tiling.overlap={overlap}"
        _judge([*overrides, *own], folder)
        maps.append(next((folder / "out").glob("*/quality.tif")).parent)
    return [Difference(*windows[index], *_difference(maps[0], maps[index])) for index in range(1, len(maps))]


def _judge(arguments: Sequence[str], folder: Path) -> Spent:
    return run_measured([*command_of("predict"), *arguments, f"output_dir={folder / 'out'}", "overwrite=true"])


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
