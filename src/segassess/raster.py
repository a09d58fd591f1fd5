"""Read images and masks from any file that GDAL reads, and check that the two belong together.

What a file may look like is decided here once: number of bands, palettes, bit depths, nodata, alpha. Whatever had to be
guessed is said in the `notes` of what is returned; whatever cannot be guessed is refused in one sentence.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rasterio
import rasterio.warp
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from segassess.errors import InputError

# Suffixes, without the dot, that count as rasters when a folder is searched. A file that is named itself may have any suffix.
RASTER_SUFFIXES = frozenset({"tif", "tiff", "png", "jpg", "jpeg", "jp2", "webp", "bmp", "vrt", "gif", "img"})

RasterPath: TypeAlias = str | Path

# Left alone, GDAL (3.10) fills the missing rest of a truncated PNG with black and says nothing.
_STRICT_READING = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}

# Percentiles of data of unknown range are taken from at most about this many values: more do not change them visibly.
_PERCENTILE_SAMPLE = 4_000_000
_STRETCH_PERCENTILES = (2.0, 98.0)
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies.

    Attributes:
        crs: a `rasterio.crs.CRS`, or None for a transform without CRS (a world file).
        transform: from pixel coordinates (column, row; (0, 0) is the outer corner of the first pixel) to the CRS.
    """

    crs: Any
    transform: Affine

    def pixel_area_m2(self, height: int, width: int) -> float | None:
        """Area on the ground of the raster's central pixel, in square metres.

        Taken on the WGS 84 ellipsoid, because a projected metre is often not a metre on the ground: EPSG:3857 overstates
        areas by 1 / cos(latitude)^2, which is a factor of 4 at 60 degrees.

        Args:
            height: number of rows.
            width: number of columns.

        Returns:
            The area, or None if there is no CRS or it cannot be related to the ground.
        """
        if self.crs is None:
            return None
        column, row = width / 2, height / 2
        corners = [_apply(self.transform, point) for point in ((column, row), (column + 1, row), (column, row + 1))]
        try:
            lon, lat = rasterio.warp.transform(self.crs, "EPSG:4326", [x for x, _ in corners], [y for _, y in corners])
        except (RasterioError, ValueError):
            return None
        if not all(map(math.isfinite, (*lon, *lat))):
            return None
        # Radii of curvature of the ellipsoid along the meridian and across it (Snyder 1987, eq. 4-18 to 4-21), in metres.
        semi_major, eccentricity2 = 6378137.0, 0.00669437999014
        sine, cosine = math.sin(math.radians(lat[0])), math.cos(math.radians(lat[0]))
        across = semi_major / math.sqrt(1 - eccentricity2 * sine**2)
        along = across * (1 - eccentricity2) / (1 - eccentricity2 * sine**2)
        east = [math.radians((value - lon[0] + 180) % 360 - 180) * across * cosine for value in lon[1:]]
        north = [math.radians(value - lat[0]) * along for value in lat[1:]]
        return abs(east[0] * north[1] - east[1] * north[0])


@dataclass(frozen=True)
class ImageRaster:
    """An image in memory.

    Attributes:
        pixels: float32 (H, W, 3) in [0, 1], RGB; 0 where not valid.
        valid: bool (H, W), False where the file has no data.
        georeference: None if the file has none.
        path: where it came from.
        notes: sentences about what had to be guessed.
    """

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    georeference: Georeference | None
    path: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskRaster:
    """A binary mask in memory.

    Attributes:
        pixels: bool (H, W), True where the file's value is > 0; False where not valid.
        valid: bool (H, W), False where the file has no data.
        georeference: None if the file has none.
        path: where it came from.
        notes: sentences about what had to be guessed.
    """

    pixels: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    georeference: Georeference | None
    path: str
    notes: tuple[str, ...] = ()


def is_remote(path: RasterPath) -> bool:
    """Whether a path is one of GDAL's virtual files (`/vsizip/...`) or a URL, so that the file system cannot answer for it."""
    return str(path).startswith("/vsi") or "://" in str(path)


def read_image(path: RasterPath) -> ImageRaster:
    """Read an image as RGB.

    One band is repeated, an alpha band says what is valid, palettes are expanded, bands beyond the colours are left out.
    8-bit data are divided by 255 and floats within [0, 1] kept; any other range is stretched between its 2nd and 98th
    percentile, all bands alike, so that hues stay.

    Args:
        path: a file, one of GDAL's `/vsi...` paths, or a URL.

    Raises:
        InputError: if the file is missing, not an image, truncated, empty or complex.
    """
    notes: list[str] = []
    with _opened(path) as dataset:
        alpha = _alpha_band(dataset, notes)
        bands = _colour_bands(dataset, alpha, notes)
        data = dataset.read(list(bands))
        valid = _valid(dataset, data, bands, alpha)
        if palette := _palette(dataset):
            data, opaque = _expand_palette(data[0], palette)
            valid &= opaque
        pixels = _to_unit_range(data, valid, _bits(dataset), notes)
        georeference = _georeference(dataset)
    pixels = np.where(valid, pixels, np.float32(0))
    if pixels.shape[0] == 1:
        pixels = np.repeat(pixels, 3, axis=0)
    return ImageRaster(np.ascontiguousarray(pixels.transpose(1, 2, 0)), valid, georeference, str(path), tuple(notes))


def read_mask(path: RasterPath) -> MaskRaster:
    """Read a mask: any value > 0 is foreground; palettes are read by index.

    Nodata and NaN are not valid, with one exception: nodata 0, which tools like gdal_rasterize write, is background.
    Transparent pixels are background as well, since drawing tools leave background transparent.

    Args:
        path: a file, one of GDAL's `/vsi...` paths, or a URL.

    Raises:
        InputError: if the file is missing, not an image, truncated, empty or complex, or if its bands differ.
    """
    notes: list[str] = []
    with _opened(path) as dataset:
        alpha = _alpha_band(dataset, notes)
        bands = tuple(band for band in range(1, dataset.count + 1) if band != alpha)
        data = dataset.read(list(bands))
        if dataset.nodata == 0:
            valid = np.isfinite(data).all(axis=0)
            notes.append("nodata is 0; these pixels are used as background.")
        else:
            valid = _valid(dataset, data, bands, None)
        pixels = (data[0] > 0) & valid
        transparent = None if alpha is None else dataset.read(alpha) == 0
        if any(not np.array_equal(band, data[0], equal_nan=band.dtype.kind == "f") for band in data[1:]):
            if transparent is None or not transparent.any():
                raise InputError(f"{path} has {len(bands)} bands that differ, as an image has; a mask must be one band.")
            pixels = (data > 0).any(axis=0) & valid
        if transparent is not None and transparent.any():
            pixels &= ~transparent
            notes.append("transparent pixels are used as background.")
        notes += _describe_mask(data[0], pixels, valid, dataset.nodata)
        if dataset.driver == "JPEG":
            notes.append("JPEG is lossy, and values near 0 count as foreground; save masks as PNG or TIFF.")
        georeference = _georeference(dataset)
    return MaskRaster(pixels, valid, georeference, str(path), tuple(notes))


def check_pair(image: ImageRaster, mask: MaskRaster) -> None:
    """Check that a mask lies on the grid of its image. A raster without georeference is trusted to.

    Raises:
        InputError: if sizes or CRS differ, or if a corner of the mask is off by more than half a pixel of the image.
    """
    height, width = image.valid.shape
    if mask.pixels.shape != image.valid.shape:
        mask_height, mask_width = mask.pixels.shape
        raise InputError(
            f"{mask.path} has {mask_width} x {mask_height} pixels and its image {image.path} has {width} x {height}; "
            f"resample the mask to the grid of the image."
        )
    if image.georeference is None or mask.georeference is None:
        return
    image_crs, mask_crs = image.georeference.crs, mask.georeference.crs
    if image_crs is not None and mask_crs is not None and image_crs != mask_crs:
        raise InputError(
            f"{mask.path} is in {_crs_name(mask_crs)} and its image {image.path} in {_crs_name(image_crs)}; "
            f"reproject the mask to the grid of the image."
        )
    to_image, from_mask = ~image.georeference.transform, mask.georeference.transform
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    shift = max(math.dist(_apply(to_image, _apply(from_mask, corner)), corner) for corner in corners)
    if shift > 0.5:
        raise InputError(
            f"{mask.path} lies up to {shift:.1f} pixels off its image {image.path} (origin and pixel size "
            f"{_grid_name(mask.georeference)} instead of {_grid_name(image.georeference)}); "
            f"resample the mask to the grid of the image."
        )


@contextmanager
def _opened(path: RasterPath) -> Iterator[Any]:
    """A rasterio dataset that has bands of real numbers; whatever GDAL complains of while it is open becomes an InputError."""
    if not is_remote(path):
        local = Path(path)
        if not local.exists():
            raise InputError(f"{path} does not exist; give the path of an image that GDAL can read.")
        if local.is_dir():
            raise InputError(f"{path} is a folder; give the path of an image that GDAL can read.")
    with warnings.catch_warnings(), rasterio.Env(**_STRICT_READING):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = rasterio.open(str(path))
        except (RasterioError, OSError, ValueError) as error:
            mend = "check the address" if is_remote(path) else "save it as GeoTIFF or PNG"
            raise InputError(f"{path} cannot be opened as an image ({_reason(error)}); {mend}.") from error
        with dataset:
            if dataset.count == 0:
                raise InputError(f"{path} has no bands of its own; give one of its subdatasets, or save it as GeoTIFF or PNG.")
            if dataset.width == 0 or dataset.height == 0:
                raise InputError(f"{path} has {dataset.width} x {dataset.height} pixels; an image must have some.")
            if any("complex" in dtype for dtype in dataset.dtypes):
                raise InputError(f"{path} holds complex numbers ({dataset.dtypes[0]}); give real numbers, such as the amplitude.")
            try:
                yield dataset
            except RasterioError as error:
                raise InputError(f"{path} is damaged or truncated ({_reason(error)}); get or save it anew.") from error


def _reason(error: BaseException) -> str:
    """What GDAL says, in one line; rasterio keeps it in the cause of an error that says nothing itself."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _georeference(dataset: Any) -> Georeference | None:
    if dataset.transform.is_degenerate or (dataset.crs is None and dataset.transform.is_identity):
        return None
    return Georeference(dataset.crs, dataset.transform)


def _apply(transform: Affine, point: tuple[float, float]) -> tuple[float, float]:
    """The point transformed; affine 2 writes that with another operator than affine 3."""
    x, y = point
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def _crs_name(crs: Any) -> str:
    return str(crs.to_string()) if crs.to_epsg() else f"{crs.to_wkt()[:60]}..."


def _grid_name(georeference: Georeference) -> str:
    t = georeference.transform
    return f"({t.c:.9g}, {t.f:.9g}) and ({t.a:.6g}, {t.e:.6g})"


def _alpha_band(dataset: Any, notes: list[str]) -> int | None:
    """Number of the alpha band, or None.

    GDAL's GeoTIFF driver declares the fourth of four bytes as alpha by default, so RGB + near infrared often comes labelled
    as RGBA. Real alpha is almost everywhere either 0 or opaque.
    """
    if dataset.count not in (2, 4) or dataset.colorinterp[-1] != ColorInterp.alpha:
        return None
    alpha = dataset.read(dataset.count)
    opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1
    if np.isin(alpha, (0, opaque)).mean() < 0.5:
        notes.append(f"band {dataset.count} is declared as alpha but holds data, and is left out.")
        return None
    return int(dataset.count)


def _colour_bands(dataset: Any, alpha: int | None, notes: list[str]) -> tuple[int, ...]:
    """Numbers of the bands to read, one or three."""
    count = dataset.count - (alpha is not None)
    if all(colour in dataset.colorinterp for colour in _RGB):
        bands = tuple(dataset.colorinterp.index(colour) + 1 for colour in _RGB)
    else:
        bands = (1, 2, 3) if count >= 3 else (1,)
    if len(bands) < count and not notes:
        used = f"band {bands[0]} is" if len(bands) == 1 else f"bands {', '.join(map(str, bands))} are"
        notes.append(f"{used} used out of {count}.")
    return bands


def _valid(dataset: Any, data: NDArray[Any], bands: tuple[int, ...], alpha: int | None) -> NDArray[np.bool_]:
    """Where data are: finite in all bands, and not declared as nodata by alpha, by a mask band or in all bands by nodata."""
    valid: NDArray[np.bool_] = np.isfinite(data).all(axis=0)
    if alpha is not None:
        valid &= dataset.read(alpha) > 0
        return valid
    nodata = [dataset.nodatavals[band - 1] for band in bands]
    if all(value is not None for value in nodata):
        # A single band at nodata may be a black red, say; GDAL's own masks are also the union over bands.
        valid &= np.any([band != value for band, value in zip(data, nodata, strict=True)], axis=0)
    elif dataset.mask_flag_enums[0] == [MaskFlags.per_dataset]:
        valid &= dataset.read_masks(1) > 0
    return valid


def _palette(dataset: Any) -> dict[int, tuple[int, int, int, int]] | None:
    return dataset.colormap(1) if dataset.colorinterp[0] == ColorInterp.palette else None


def _expand_palette(index: NDArray[Any], palette: dict[int, tuple[int, int, int, int]]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """uint8 (3, H, W) colours of a palette image, and bool (H, W) where they are not transparent."""
    table = np.zeros((max(int(index.max()), *palette) + 1, 4), np.uint8)
    for entry, colour in palette.items():
        table[entry] = colour
    colours = table[index]
    return colours[..., :3].transpose(2, 0, 1), colours[..., 3] > 0


def _bits(dataset: Any) -> int:
    """Bits that a byte uses: 1 in bilevel images, whose values GDAL gives as 0 and 1; palettes are expanded to 8."""
    if dataset.colorinterp[0] == ColorInterp.palette:
        return 8
    return int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))


def _to_unit_range(data: NDArray[Any], valid: NDArray[np.bool_], bits: int, notes: list[str]) -> NDArray[np.float32]:
    """float32 (bands, H, W) in [0, 1]; see `read_image`."""
    as_float: NDArray[np.float32] = data.astype(np.float32)
    if data.dtype == np.uint8:
        return as_float / np.float32(2**bits - 1)
    values = data[:, valid]
    if values.size == 0:
        return np.zeros(data.shape, np.float32)
    low, high = float(values.min()), float(values.max())
    is_float = data.dtype.kind == "f"
    if is_float and low >= 0 and high <= 1:
        return as_float
    if low >= 0 and high <= 255 and (not is_float or bool((values == np.floor(values)).all())):
        notes.append(f"{data.dtype} values from {low:g} to {high:g} are used as 8-bit values.")
        low, high = 0.0, 255.0
    else:
        sample = values[:, :: max(1, values.size // _PERCENTILE_SAMPLE)]
        lower, upper = (float(cut) for cut in np.percentile(sample, _STRETCH_PERCENTILES))
        if upper > lower:
            low, high = lower, upper
        notes.append(f"{data.dtype} values are stretched from {low:g} .. {high:g} (2nd and 98th percentile) to the full range.")
    # Where not valid there may be NaN, infinity or the like, which is cut off afterwards.
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (as_float - np.float32(low)) / np.float32(high - low if high > low else 1)
    return scaled.clip(0, 1)


def _describe_mask(band: NDArray[Any], pixels: NDArray[np.bool_], valid: NDArray[np.bool_], nodata: float | None) -> list[str]:
    notes = []
    values = np.unique(band[valid])
    # 0 and one positive number leave no doubt; probabilities, labels and -1/1 do.
    if (values < 0).any() or np.count_nonzero(values > 0) > 1:
        shown = ", ".join(f"{value:g}" for value in values[:6]) + (", ..." if values.size > 6 else "")
        notes.append(f"the mask has {values.size} values ({shown}); any value > 0 is used as foreground.")
    if not valid.any():
        notes.append("the mask has no valid pixel.")
    elif not pixels.any():
        notes.append("the mask has no foreground.")
        if nodata is not None and nodata > 0 and not valid.all():
            notes.append(f"pixels of the value {nodata:g} are nodata; if they are the foreground, remove the nodata value.")
    return notes
