"""Open any raster that GDAL reads, and say in one sentence why it cannot be used."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from segassess.errors import InputError
from segassess.raster.library_errors import as_input_error
from segassess.raster.shown import ShownDataset

# Suffixes, without the dot, that count as rasters when a folder is searched. A file that is named itself may have any suffix.
RASTER_SUFFIXES = frozenset({"tif", "tiff", "png", "jpg", "jpeg", "jp2", "webp", "bmp", "vrt", "gif", "img"})

RasterPath: TypeAlias = str | Path

# Left alone, GDAL (3.10) fills the missing rest of a truncated PNG with black and says nothing.
_STRICT_READING = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}
# Bytes of blocks that GDAL keeps. Left alone it takes 5 % of the machine's memory, though windows only meet those of
# their neighbours again.
_CACHE = 64 * 2**20


def is_remote(path: RasterPath) -> bool:
    """Whether a path is one of GDAL's virtual files (`/vsizip/...`) or a URL, so that the file system cannot answer for it."""
    return str(path).startswith("/vsi") or "://" in str(path)


@contextmanager
def opened(path: RasterPath, what: str = "an image") -> Iterator[Any]:
    """A dataset of real numbers as a viewer shows it (`ShownDataset`); what GDAL complains of while it is open is an InputError.

    Args:
        path: a file, one of GDAL's `/vsi...` paths, or a URL.
        what: it is meant to be, for messages.

    Raises:
        InputError: if the file is missing, not an image, truncated, empty or complex.
    """
    if not is_remote(path):
        local = Path(path)
        if not local.exists():
            raise InputError(f"{path} does not exist; give the path of {what} that GDAL can read.")
        if local.is_dir():
            raise InputError(f"{path} is a folder; give the path of {what} that GDAL can read.")
    with warnings.catch_warnings(), rasterio.Env(GDAL_CACHEMAX=_CACHE, **_STRICT_READING):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        mend = "check the address" if is_remote(path) else "save it as GeoTIFF or PNG"
        with as_input_error(f"{path} cannot be opened as {what} ({{reason}}); {mend}.", OSError, ValueError):
            dataset = rasterio.open(str(path))
        with dataset:
            if dataset.count == 0:
                raise InputError(f"{path} has no bands of its own; give one of its subdatasets, or save it as GeoTIFF or PNG.")
            if dataset.width == 0 or dataset.height == 0:
                raise InputError(f"{path} has {dataset.width} x {dataset.height} pixels; {what} must have some.")
            if any("complex" in dtype for dtype in dataset.dtypes):
                raise InputError(f"{path} holds complex numbers ({dataset.dtypes[0]}); give real numbers, such as the amplitude.")
            with reading(path):
                yield ShownDataset(dataset, path)


def reading(path: RasterPath) -> AbstractContextManager[None]:
    """What the libraries raise in the block is a damage of this file."""
    return as_input_error(f"{path} is damaged or truncated ({{reason}}); get or save it again.")
