"""Cost of `segassess predict` by size of scene, and effect of its windows; runs in processes of its own.

Large scenes need no disk space: they are virtual mosaics (GDAL's VRT) that repeat a small one.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyogrio
import rasterio
from rasterio.windows import Window

from segassess.evaluation.commands import Spent, command_of, run_measured
from segassess.files import atomic_path
from segassess.findings.bands import NODATA, PROBABILITY_STEPS
from segassess.raster.opening import opened

log = logging.getLogger(__name__)

_ROWS = 512
_DTYPES = {"uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}


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


def write_mosaic(path: str | Path, source: str | Path, height: int, width: int) -> None:
    """Write a .vrt of `height` x `width` pixels that repeats a raster to the right and downwards, with its origin and CRS.

    Raises InputError if the source cannot be read, RequestError if the folder is not writable.
    """
    with opened(source) as dataset:
        root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
        if dataset.crs is not None:
            ElementTree.SubElement(root, "SRS").text = dataset.crs.to_wkt()
            ElementTree.SubElement(root, "GeoTransform").text = ", ".join(map(repr, dataset.transform.to_gdal()))
        for band, dtype in enumerate(dataset.dtypes, 1):
            options = {"dataType": _DTYPES[dtype], "band": str(band)}
            node = ElementTree.SubElement(root, "VRTRasterBand", options)
            if dataset.nodata is not None:
                ElementTree.SubElement(node, "NoDataValue").text = repr(dataset.nodata)
            ElementTree.SubElement(node, "ColorInterp").text = dataset.colorinterp[band - 1].name.capitalize()
            places = itertools.product(range(0, height, dataset.height), range(0, width, dataset.width))
            for top, left in places:
                part = ElementTree.SubElement(node, "SimpleSource")
                ElementTree.SubElement(part, "SourceFilename", relativeToVRT="0").text = str(Path(source).resolve())
                ElementTree.SubElement(part, "SourceBand").text = str(band)
                size = {"xSize": str(min(dataset.width, width - left)), "ySize": str(min(dataset.height, height - top))}
                ElementTree.SubElement(part, "SrcRect", {"xOff": "0", "yOff": "0", **size})
                ElementTree.SubElement(part, "DstRect", {"xOff": str(left), "yOff": str(top), **size})
    with atomic_path(path) as beside:
        ElementTree.ElementTree(root).write(beside)


def measure_sizes(image: str, mask: str, sizes: Sequence[tuple[int, int]], overrides: Sequence[str], output: Path) -> list[Cost]:
    """Judge mosaics of a scene in several sizes (height, width), each below `output`."""
    costs = []
    for height, width in sizes:
        folder = output / f"{height}x{width}"
        paths = {"image": folder / "image.vrt", "mask": folder / "mask.vrt"}
        for path, source in zip(paths.values(), (image, mask), strict=True):
            write_mosaic(path, source, height, width)
        spent = _judge([*(f"{key}={path}" for key, path in paths.items()), *overrides], folder)
        errors = sum(pyogrio.read_info(layer, layer="errors")["features"] for layer in (folder / "out").glob("*/errors.gpkg"))
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
