"""Read images as RGB. Everything about a file's format is decided once, on opening, from a sample independent of the windows."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from segassess.errors import InputError
from segassess.options.rendering import Rendering as Rendering
from segassess.raster.grid import Georeference, Grid
from segassess.raster.opening import RasterPath, opened, reading
from segassess.raster.unreadable import UnreadableCells
from segassess.raster.urls import is_url

SAMPLE_PIXELS = 2_000_000  # guesses use at most about this many pixels, read at a coarser resolution

_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_WHOLE = slice(None)

T = TypeVar("T", bound=np.generic)
_Palette: TypeAlias = dict[int, tuple[int, int, int, int]]  # RGBA by index


@dataclass(frozen=True)
class WholeRaster(Generic[T]):
    """An image or a mask in memory."""

    pixels: NDArray[T]  # as `ImageFile.read` or `RasterMask.read` returns them
    valid: NDArray[np.bool_]  # (H, W), False for nodata
    georeference: Georeference | None
    path: str
    notes: tuple[str, ...] = ()  # sentences about what had to be guessed


class ImageFile:
    """An open image with its `path`, `grid` and `notes` (sentences about guesses); see `open_image`."""

    def __init__(self, dataset: Any, path: RasterPath, rendering: Rendering) -> None:
        self.path = str(path)
        self.grid = Grid.of(dataset)
        self._dataset = dataset
        # What a server does not give today is no damage of the file.
        skips = rendering.skip_unreadable and not is_url(path)
        self._unreadable = UnreadableCells(self.grid.height, self.grid.width) if skips else None
        notes: list[str] = []
        self._alpha = alpha_band(dataset, notes)
        self._bands = _colour_bands(dataset, self._alpha, rendering.bands, self.path, notes)
        self._palette: _Palette | None = dataset.colormap(1) if dataset.colorinterp[0] == ColorInterp.palette else None
        self._range = rendering.value_range or self._find_range(rendering.percentiles, notes)
        self.notes = (*dataset.notes, *_unplaced(dataset), *notes)

    def read(self, rows: slice = _WHOLE, columns: slice = _WHOLE) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window: float32 (h, w, 3) in [0, 1], 0 where not valid, and validity bool (h, w)."""
        window = slice(*rows.indices(self.grid.height)[:2]), slice(*columns.indices(self.grid.width)[:2])
        with reading(self.path):
            return self._read(*window) if self._unreadable is None else self._unreadable.read(self._read, *window)

    def unreadable_pixels(self, rows: slice) -> int:
        """Number of unreadable pixels in rows that have been read."""
        return 0 if self._unreadable is None else self._unreadable.pixels(rows)

    def _read(self, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        data, valid = self._values(window=window_of(self.grid, rows, columns))
        pixels = np.where(valid, _scaled(data, self._range), np.float32(0))
        if len(pixels) == 1:
            pixels = np.repeat(pixels, 3, axis=0)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)), valid

    def _values(self, **options: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Stored values (bands, h, w), palettes expanded, and validity (h, w); `options` go to rasterio's `read`."""
        data = self._dataset.read(list(self._bands), **options)
        valid = valid_pixels(self._dataset, data, self._bands, self._alpha, options)
        if self._palette:
            data, opaque = _expand_palette(data[0], self._palette)
            valid = valid & opaque
        return data, valid

    def _find_range(self, percentiles: tuple[float, float], notes: list[str]) -> tuple[float, float]:
        dtype = np.dtype(self._dataset.dtypes[self._bands[0] - 1])
        if dtype == np.uint8:
            # Bilevel images use one bit of a byte; palettes are expanded to 8.
            bits = 8 if self._palette else int(self._dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
            return 0.0, float(2**bits - 1)
        data, valid = self._values(out_shape=(len(self._bands), *sample_size(self._dataset)))
        values = data[:, valid]
        if values.size == 0:
            return 0.0, 1.0
        low, high = float(values.min()), float(values.max())
        is_float = dtype.kind == "f"
        if is_float and low >= 0 and high <= 1:
            return 0.0, 1.0
        if low >= 0 and high <= 255 and (not is_float or bool((values == np.floor(values)).all())):
            notes.append(f"{dtype} values from {low:g} to {high:g} are used as 8-bit values.")
            return 0.0, 255.0
        lower, upper = (float(cut) for cut in np.percentile(values, percentiles))
        if upper > lower:
            low, high = lower, upper
        names = " and ".join(map(_ordinal, percentiles))
        notes.append(f"{dtype} values are stretched from {low:g} .. {high:g} ({names} percentile) to the full range.")
        return low, high if high > low else low + 1


@contextmanager
def open_image(path: RasterPath, rendering: Rendering | None = None) -> Iterator[ImageFile]:
    """Open an image to be read as RGB by window.

    A single band is repeated, an alpha band marks valid pixels, palettes are expanded and extra bands ignored. 8-bit values are
    divided by 255 and floats in [0, 1] kept; any other range is stretched between its 2nd and 98th percentile, all bands alike
    so that hues stay. `rendering` overrides these rules. `path` may be a `/vsi...` path or a URL. Raises InputError if the file
    is missing, not an image, truncated, empty or complex, or lacks a band.
    """
    with opened(path) as dataset:
        yield ImageFile(dataset, path, rendering or Rendering())


def read_image(path: RasterPath, rendering: Rendering | None = None) -> WholeRaster[np.float32]:
    """Read a whole image; see `open_image`."""
    with open_image(path, rendering) as image:
        pixels, valid = image.read()
        return WholeRaster(pixels, valid, image.grid.georeference, image.path, image.notes)


def window_of(grid: Grid, rows: slice, columns: slice) -> Window:
    """Convert row and column slices of a grid to a rasterio window."""
    top, bottom, _ = rows.indices(grid.height)
    left, right, _ = columns.indices(grid.width)
    return Window(left, top, right - left, bottom - top)


def valid_pixels(
    dataset: Any, data: NDArray[Any], bands: Sequence[int], alpha: int | None, options: dict[str, Any]
) -> NDArray[np.bool_]:
    """Validity (h, w) of data (bands, h, w): finite in all bands, and not nodata by alpha, mask band or all nodata values.

    `bands` and `alpha` are band numbers; `options` are those with which rasterio read the data.
    """
    plane = {name: value[1:] if name == "out_shape" else value for name, value in options.items()}
    valid: NDArray[np.bool_] = np.isfinite(data).all(axis=0)
    if alpha is not None:
        valid &= dataset.read(alpha, **plane) > 0
        return valid
    nodata = [dataset.nodatavals[band - 1] for band in bands]
    if all(value is not None for value in nodata):
        # A single band at nodata may be a black red, say; GDAL's own masks are also the union over bands.
        valid &= np.any([band != value for band, value in zip(data, nodata, strict=True)], axis=0)
    elif dataset.mask_flag_enums[0] == [MaskFlags.per_dataset]:
        valid &= dataset.read_masks(1, **plane) > 0
    return valid


def sample_size(dataset: Any) -> tuple[int, int]:
    """Rows and columns of the sample that guesses are based on."""
    factor = max(1, math.ceil(math.sqrt(dataset.height * dataset.width / SAMPLE_PIXELS)))
    return -(-dataset.height // factor), -(-dataset.width // factor)


def alpha_band(dataset: Any, notes: list[str]) -> int | None:
    """Number of the alpha band, or None; adds a note if the declared alpha band holds data.

    GDAL's GeoTIFF driver labels the fourth of four bytes as alpha, so RGB + near infrared often looks like RGBA. Real alpha is
    almost everywhere either 0 or opaque.
    """
    if dataset.count not in (2, 4) or dataset.colorinterp[-1] != ColorInterp.alpha:
        return None
    alpha = dataset.read(dataset.count, out_shape=sample_size(dataset))
    opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1
    if np.isin(alpha, (0, opaque)).mean() < 0.5:
        notes.append(f"band {dataset.count} is labelled as alpha but holds data; it is ignored.")
        return None
    return int(dataset.count)


def _colour_bands(
    dataset: Any, alpha: int | None, wanted: tuple[int, ...] | None, path: str, notes: list[str]
) -> tuple[int, ...]:
    """Band numbers to read, one or three."""
    if wanted is not None:
        if max(wanted) > dataset.count:
            raise InputError(f"{path} has {dataset.count} bands; bands={list(wanted)} must not exceed that.")
        return wanted
    count = dataset.count - (alpha is not None)
    if all(colour in dataset.colorinterp for colour in _RGB):
        bands = tuple(dataset.colorinterp.index(colour) + 1 for colour in _RGB)
    else:
        bands = (1, 2, 3) if count >= 3 else (1,)
        if count == 1 and dataset.colorinterp[0] != ColorInterp.palette:
            notes.append("its only band is used as grey.")
    if len(bands) < count and not notes:
        used = f"band {bands[0]} is" if len(bands) == 1 else f"bands {', '.join(map(str, bands))} are"
        notes.append(f"{used} used out of {count}.")
    return bands


def _expand_palette(index: NDArray[Any], palette: _Palette) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Colours uint8 (3, H, W) of a palette image, and bool (H, W), True where not transparent."""
    table = np.zeros((max(int(index.max()), *palette) + 1, 4), np.uint8)
    for entry, colour in palette.items():
        table[entry] = colour
    colours = table[index]
    return colours[..., :3].transpose(2, 0, 1), colours[..., 3] > 0


def _scaled(data: NDArray[Any], value_range: tuple[float, float]) -> NDArray[np.float32]:
    low, high = value_range
    # Pixels that are not valid may be NaN or infinite.
    with np.errstate(invalid="ignore", over="ignore"):
        scaled: NDArray[np.float32] = (data.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return scaled.clip(0, 1)


def _unplaced(dataset: Any) -> list[str]:
    """Note for an image with ground control points only."""
    if Georeference.of(dataset) is None and dataset.gcps[0]:
        return ["ground control points alone do not georeference its pixels, so results are in pixels; warp it with gdalwarp."]
    return []


def _ordinal(number: float) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    whole = int(number) == number and int(number) % 100 not in (11, 12, 13)
    return f"{number:g}{ends.get(int(number) % 10, 'th') if whole else 'th'}"
