"""Images and masks given as arrays, read as GeoTIFFs in memory, so that an array means the same as in a file."""

import hashlib
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from torch import Tensor

from segassess.errors import InputError
from segassess.raster import Georeference

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


class SupportsArray(Protocol):
    """Anything that numpy turns into an array, such as a tensor."""

    def __array__(self) -> NDArray[Any]:
        """The array."""


# A path, one of GDAL's `/vsi...` paths or a URL; or an array, a tensor or a Pillow image.
RasterInput: TypeAlias = str | Path | SupportsArray | Image.Image


def image_array(image: SupportsArray | Image.Image) -> NDArray[Any]:
    """An image as bands (B, H, W); raises InputError for another shape or dtype.

    Takes (H, W), (H, W, 3), or (H, W, 4) with alpha, of a tensor also (1 | 3 | 4, H, W): uint8, floats in [0, 1], or other
    numbers, which are stretched as those of a file are. NaN is no data.
    """
    if isinstance(image, Image.Image) and image.mode not in ("L", "RGB", "RGBA", "F", "I", "I;16"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    array = _array(image, "image")
    if isinstance(image, Tensor) and array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return array
    if array.ndim == 2:
        return array[None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        bands_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        mend = ": if its bands come first, transpose(1, 2, 0) puts them last" if bands_first else ""
        raise InputError(f"The image array has the shape {array.shape}; give (H, W), (H, W, 3), or (H, W, 4) with alpha{mend}.")
    return array.transpose(2, 0, 1)


def mask_array(mask: SupportsArray | Image.Image) -> NDArray[Any]:
    """A mask as one band (1, H, W); raises InputError for another shape or dtype.

    Takes (H, W) booleans or numbers, of a tensor also (1, H, W). Values > 0 are foreground, NaN is no data.
    """
    array = _array(mask, "mask")
    if isinstance(mask, Tensor) and array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2:
        raise InputError(f"The mask array has the shape {array.shape}; give one plane, (H, W).")
    return array.astype(np.uint8)[None] if array.dtype == bool else array[None]


def _array(given: SupportsArray | Image.Image, what: str) -> NDArray[Any]:
    array = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    if array.dtype.kind not in "uif" and not (array.dtype == bool and what == "mask"):
        allowed = "numbers or booleans" if what == "mask" else "numbers"
        raise InputError(f"The {what} is of the type {type(given).__name__} and holds {array.dtype}; give a path or {allowed}.")
    if not array.size:
        raise InputError(f"The {what} array has the shape {array.shape}, without pixels; give one with pixels.")
    # GDAL has no float16.
    return array.astype(np.float32) if array.dtype == np.float16 else array


@contextmanager
def in_memory(bands: NDArray[Any], georeference: Georeference | None) -> Iterator[str]:
    """Bands (B, H, W) as a raster, named after its content; yields a path that GDAL reads within the block."""
    name = f"{hashlib.sha256(np.ascontiguousarray(bands).tobytes()).hexdigest()[:16]}.tif"
    count, height, width = bands.shape
    place = {} if georeference is None else {"crs": georeference.crs, "transform": georeference.transform}
    layout = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype, "bigtiff": "if_safer"}
    with warnings.catch_warnings(), MemoryFile(dirname=secrets.token_hex(8), filename=name) as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**layout, **place) as dataset:
            if count > 1:
                dataset.colorinterp = _COLOURS[:count]
            dataset.write(bands)
        yield memory.name
