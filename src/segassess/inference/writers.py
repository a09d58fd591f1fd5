"""Write results so that they appear whole or not at all.

Rasters are Cloud Optimized GeoTIFFs: tiled, compressed, with overviews, on the grid of the image.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.shutil
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from segassess.files import atomic_path
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, NOT_ASSESSED, NUM_CLASSES
from segassess.raster import Georeference

NODATA = NOT_ASSESSED

# P = value / 250: a step of exactly 0.004, and 255 stays free for nodata.
PROBABILITY_STEPS = 250

_TILE = 256


def write_quality(
    path: str | Path, quality: ArrayLike, georeference: Georeference | None = None, tags: Mapping[str, str] | None = None
) -> None:
    """Write a quality map: uint8 codes with palette and nodata 255.

    TIFF palettes have no alpha, so TN is opaque to programs that show the file without a style of their own.

    Args:
        path: the GeoTIFF to write.
        quality: (H, W) codes TP=0, FP=1, TN=2, FN=3, 255 = not assessed.
        georeference: of the image, or None.
        tags: metadata of the file (model hash, version, decoding, ...); the names of the classes are added.

    Raises:
        RequestError: if the folder cannot be written to.
        ValueError: if there are other codes.
    """
    codes = np.asarray(quality)
    if not np.isin(codes, (*range(NUM_CLASSES), NOT_ASSESSED)).all():
        raise ValueError(f"quality holds {np.unique(codes)[:8]}; allowed are 0 to {NUM_CLASSES - 1} and {NOT_ASSESSED}.")
    classes = [f"{code}={CLASS_NAMES[code]} ({CLASS_LABELS[code]})" for code in range(NUM_CLASSES)]
    tags = {**(tags or {}), "CLASSES": "; ".join([*classes, f"{NOT_ASSESSED}=not assessed"])}
    palette = {**dict(enumerate(CLASS_COLOURS)), NODATA: (0, 0, 0, 0)}
    _write_cog(path, codes, georeference, tags, description="quality", palette=palette, resampling="MODE")


def write_error(
    path: str | Path,
    error: ArrayLike,
    valid: ArrayLike,
    georeference: Georeference | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write an error map: uint8, P(error) = value * 0.004 (declared as the band's scale), nodata 255.

    Args:
        path: the GeoTIFF to write.
        error: float (H, W) in [0, 1], P(FP) + P(FN); anything where not valid.
        valid: bool (H, W); pixels that are not valid or NaN become nodata.
        georeference: of the image, or None.
        tags: metadata of the file.

    Raises:
        RequestError: if the folder cannot be written to.
    """
    _write_steps(path, error, valid, georeference, tags, "P(error)")


def write_refined(
    path: str | Path,
    refined: ArrayLike,
    valid: ArrayLike,
    georeference: Georeference | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a refined mask: uint8, 0 background, 1 foreground, nodata 255.

    Args:
        path: the GeoTIFF to write.
        refined: (H, W), > 0 is foreground.
        valid: bool (H, W); pixels that are not valid become nodata.
        georeference: of the image, or None.
        tags: metadata of the file.

    Raises:
        RequestError: if the folder cannot be written to.
    """
    data = np.where(np.asarray(valid, dtype=bool), np.asarray(refined) > 0, NODATA)
    palette = {0: (0, 0, 0, 255), 1: (255, 255, 255, 255), NODATA: (0, 0, 0, 0)}
    _write_cog(path, data, georeference, tags or {}, description="refined mask", palette=palette, resampling="MODE")


def write_mask(
    path: str | Path, mask: ArrayLike, georeference: Georeference | None = None, tags: Mapping[str, str] | None = None
) -> None:
    """Write a segmenter's mask as masks lie beside data sets: uint8, 0 background, 255 foreground, no nodata.

    Args:
        path: the GeoTIFF to write.
        mask: bool (H, W).
        georeference: of the image, or None.
        tags: metadata of the file.

    Raises:
        RequestError: if the folder cannot be written to.
    """
    data = np.where(np.asarray(mask, dtype=bool), 255, 0)
    _write_cog(path, data, georeference, tags or {}, description="mask", resampling="MODE", nodata=None)


def write_probability(
    path: str | Path,
    probability: ArrayLike,
    valid: ArrayLike,
    georeference: Georeference | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a segmenter's probability: uint8, P(object) = value * 0.004 (declared as the band's scale), nodata 255.

    Args:
        path: the GeoTIFF to write.
        probability: float (H, W) in [0, 1]; anything where not valid.
        valid: bool (H, W); pixels that are not valid or NaN become nodata.
        georeference: of the image, or None.
        tags: metadata of the file.

    Raises:
        RequestError: if the folder cannot be written to.
    """
    _write_steps(path, probability, valid, georeference, tags, "P(object)")


def _write_steps(
    path: str | Path,
    probability: ArrayLike,
    valid: ArrayLike,
    georeference: Georeference | None,
    tags: Mapping[str, str] | None,
    description: str,
) -> None:
    values = np.asarray(probability, dtype=np.float32)
    known = np.asarray(valid, dtype=bool) & ~np.isnan(values)
    steps = np.rint(np.clip(np.where(known, values, 0), 0, 1) * PROBABILITY_STEPS)
    data = np.where(known, steps, NODATA)
    _write_cog(path, data, georeference, tags or {}, description=description, scale=1 / PROBABILITY_STEPS, resampling="AVERAGE")


def _write_cog(
    path: str | Path,
    data: NDArray[Any],
    georeference: Georeference | None,
    tags: Mapping[str, str],
    *,
    description: str,
    resampling: str,
    palette: Mapping[int, tuple[int, int, int, int]] | None = None,
    scale: float | None = None,
    nodata: int | None = NODATA,
) -> None:
    """Write one uint8 band (H, W). GDAL works in memory, so that a full disk is an error and never half a file."""
    if data.ndim != 2:
        raise ValueError(f"{description} must be (H, W), not {data.shape}.")
    height, width = data.shape
    place = {} if georeference is None else {"crs": georeference.crs, "transform": georeference.transform}
    with warnings.catch_warnings(), MemoryFile(ext=".tif") as plain, MemoryFile(ext=".tif") as optimized:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        layout = {"height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": nodata, **place}
        with plain.open(driver="GTiff", tiled=True, compress="deflate", zlevel=1, bigtiff="if_safer", **layout) as dataset:
            # Pixels come last: a TIFF's palette cannot be declared once pixels are written.
            if palette is not None:
                dataset.write_colormap(1, palette)
            if scale is not None:
                dataset.scales, dataset.offsets = (scale,), (0.0,)
            dataset.set_band_description(1, description)
            dataset.update_tags(**tags)
            dataset.write(data.astype(np.uint8), 1)
        with plain.open() as dataset:
            # Differences of neighbours help smooth probabilities, but only lengthen runs of equal codes.
            predictor = "NO" if scale is None else "YES"
            options = {"BLOCKSIZE": _TILE, "COMPRESS": "DEFLATE", "PREDICTOR": predictor, "BIGTIFF": "IF_SAFER"}
            rasterio.shutil.copy(dataset, optimized.name, driver="COG", OVERVIEW_RESAMPLING=resampling, **options)
        with atomic_path(path) as beside:
            beside.write_bytes(optimized.getbuffer())
