"""Open any raster that GDAL reads, or say in one sentence why it cannot be used."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from segassess.errors import InputError
from segassess.raster.library_errors import LIBRARY_ERRORS, as_input_error
from segassess.raster.orientation import ShownDataset
from segassess.raster.urls import edition, for_gdal, forget, gdal_settings, is_url

# Suffixes that count as rasters when a folder is searched; a file given by name may have any suffix.
RASTER_SUFFIXES = frozenset({"tif", "tiff", "png", "jpg", "jpeg", "jp2", "webp", "bmp", "vrt", "gif", "img"})

RasterPath: TypeAlias = str | Path

# By default, GDAL (3.10) silently fills the missing rest of a truncated PNG with black.
_STRICT_READING = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}
_CACHE = 64 * 2**20  # bytes; GDAL's default is 5 % of the memory, but only neighbouring windows share blocks


def is_remote(path: RasterPath) -> bool:
    """Whether a path is a GDAL virtual file (`/vsizip/...`) or a URL, which the file system cannot check."""
    return str(path).startswith("/vsi") or "://" in str(path)


@contextmanager
def opened(path: RasterPath, what: str = "an image") -> Iterator[Any]:
    """Open a real-valued raster as a viewer shows it (`ShownDataset`); `what` names its role in messages.

    Raises InputError if the file is missing, not an image, truncated, empty or complex, also while it is read in the block.
    """
    if not is_remote(path):
        local = Path(path)
        if not local.exists():
            raise InputError(f"{path} does not exist; give the path of {what} that GDAL can read.")
        if local.is_dir():
            raise InputError(f"{path} is a folder; give the path of {what} that GDAL can read.")
    with warnings.catch_warnings(), gdal_settings(path, GDAL_CACHEMAX=_CACHE, **_STRICT_READING):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        mend = "check the address" if is_remote(path) else "save it as GeoTIFF or PNG"
        with as_input_error(f"{path} cannot be opened as {what} ({{reason}}); {mend}.", OSError, ValueError):
            dataset = _open(path)
        with dataset:
            if dataset.count == 0:
                raise InputError(f"{path} has no bands of its own; give one of its subdatasets, or save it as GeoTIFF or PNG.")
            if dataset.width == 0 or dataset.height == 0:
                raise InputError(f"{path} has {dataset.width} x {dataset.height} pixels; {what} needs at least one.")
            if any("complex" in dtype for dtype in dataset.dtypes):
                raise InputError(f"{path} holds complex numbers ({dataset.dtypes[0]}); give real numbers, such as the amplitude.")
            with reading(path):
                yield ShownDataset(dataset, path)


def _open(path: RasterPath) -> Any:
    try:
        return rasterio.open(for_gdal(path))
    except LIBRARY_ERRORS:
        if not is_url(path):
            raise
        # Says what is wrong with the address; if it is not that, the server may have been slow.
        edition(str(path))
        forget(str(path))
        return rasterio.open(for_gdal(path))


def reading(path: RasterPath) -> AbstractContextManager[None]:
    """Report library errors in the block as damage of this file."""
    if is_url(path):
        return as_input_error(f"{path} cannot be read to its end ({{reason}}); try again later, or upload it again.")
    return as_input_error(f"{path} is damaged or truncated ({{reason}}); download or save it again.")
