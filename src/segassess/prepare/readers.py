"""Reads an official download: images by bands of rows, and masks from rasters or polygons."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.features import rasterize
from rasterio.windows import Window

from segassess.errors import InputError
from segassess.raster import Georeference, read_image

log = logging.getLogger(__name__)

# Maps the bands of a mask, any dtype (bands, H, W), to bool (H, W).
MaskRule: TypeAlias = Callable[[NDArray[Any]], NDArray[np.bool_]]

# Bands of 8-bit images without palette, alpha, mask or nodata.
_PLAIN = (
    (ColorInterp.gray,),
    (ColorInterp.red, ColorInterp.green, ColorInterp.blue),
    (ColorInterp.gray, ColorInterp.undefined, ColorInterp.undefined),
)


@dataclass(frozen=True)
class SceneImage:
    """An open image of `height` x `width` pixels.

    `rows` maps first and last row (exclusive) to uint8 (3, rows, width) and bool (rows, width), False where there are no data.
    """

    height: int
    width: int
    georeference: Georeference | None
    rows: Callable[[int, int], tuple[NDArray[np.uint8], NDArray[np.bool_]]]


@contextmanager
def opened_image(path: Path) -> Iterator[SceneImage]:
    """Open an image for reading by rows; raises InputError if it is missing, damaged or not an image.

    Plain 8-bit images are read row by row. Others (more bits, alpha, palette, nodata) are read whole, so that all tiles share
    one stretch of values.
    """
    with _reading(path) as dataset:
        if _is_plain(dataset):
            yield SceneImage(
                dataset.height, dataset.width, _georeference(dataset), lambda top, bottom: _rows(dataset, top, bottom)
            )
            return
    whole = read_image(path)
    for note in whole.notes:
        log.info("Note: %s: %s", path, note)
    pixels = np.round(whole.pixels * 255).astype(np.uint8).transpose(2, 0, 1)
    height, width = whole.valid.shape
    yield SceneImage(height, width, whole.georeference, lambda top, bottom: (pixels[:, top:bottom], whole.valid[top:bottom]))


class MaskReader(Protocol):
    """A mask of a scene, read by rows."""

    def rows(self, top: int, bottom: int, height: int, width: int) -> NDArray[np.bool_]:
        """Rows `top` to `bottom` (exclusive), bool; raises InputError if the mask is unreadable or not `height` x `width`."""


@dataclass(frozen=True)
class RasterMask:
    """A mask in a raster file; `rule` gets all bands but alpha and returns the foreground."""

    path: Path
    rule: MaskRule

    def rows(self, top: int, bottom: int, height: int, width: int) -> NDArray[np.bool_]:
        """See `MaskReader.rows`."""
        with _reading(self.path) as dataset:
            if (dataset.height, dataset.width) != (height, width):
                raise InputError(
                    f"{self.path} has {dataset.width} x {dataset.height} pixels and its image {width} x {height}; "
                    "download both again."
                )
            bands = [band for band, use in enumerate(dataset.colorinterp, start=1) if use != ColorInterp.alpha]
            data = dataset.read(bands, window=Window(0, top, width, bottom - top))
        try:
            return self.rule(data)
        except ValueError as error:
            raise InputError(f"{self.path} {error}; download it again.") from error


@dataclass(frozen=True)
class PolygonMask:
    """Polygons, float (points, 2), of columns and rows in pixels from the image's outer corner; a pixel's centre decides."""

    polygons: Sequence[NDArray[np.floating[Any]]]

    def rows(self, top: int, bottom: int, height: int, width: int) -> NDArray[np.bool_]:
        """See `MaskReader.rows`."""
        # Rings are closed here: GDAL would leave out an open triangle.
        rings = [[*polygon.tolist(), polygon[0].tolist()] for polygon in self.polygons if len(polygon) >= 3]
        shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in rings]
        if not shapes:
            return np.zeros((bottom - top, width), bool)
        drawn: NDArray[np.uint8] = rasterize(shapes, out_shape=(height, width), dtype="uint8")
        return drawn[top:bottom] > 0


def positive(data: NDArray[Any]) -> NDArray[np.bool_]:
    """Foreground is any value > 0 in any band."""
    return np.asarray((data > 0).any(axis=0))


def at_least(threshold: int) -> MaskRule:
    """Foreground is a first band of at least `threshold`."""
    return lambda data: np.asarray(data[0] >= threshold)


def of_colour(colour: tuple[int, int, int]) -> MaskRule:
    """Foreground is exactly one RGB colour of a label image."""

    def rule(data: NDArray[Any]) -> NDArray[np.bool_]:
        if len(data) < 3:
            raise ValueError(f"has {len(data)} band, but its classes are colours of three bands")
        return np.asarray((data[:3] == np.reshape(colour, (3, 1, 1))).all(axis=0))

    return rule


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """An open rasterio dataset; any complaint of GDAL becomes an InputError."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; get it from the official download.")
    # Left alone, GDAL fills the missing rest of a truncated PNG with black and says nothing.
    with warnings.catch_warnings(), rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as dataset:
                yield dataset
        except RasterioError as error:
            raise InputError(f"{path} is damaged, truncated or no image; download it again.") from error


def _is_plain(dataset: Any) -> bool:
    eight_bits = set(dataset.dtypes) == {"uint8"} and int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8)) == 8
    all_valid = all(flag.name == "all_valid" for flags in dataset.mask_flag_enums for flag in flags)
    return eight_bits and all_valid and dataset.colorinterp in _PLAIN


def _rows(dataset: Any, top: int, bottom: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    bands = [1, 2, 3] if dataset.count == 3 else [1, 1, 1]
    data = dataset.read(bands, window=Window(0, top, dataset.width, bottom - top))
    return data, np.ones(data.shape[1:], bool)


def _georeference(dataset: Any) -> Georeference | None:
    if dataset.crs is None and dataset.transform.is_identity:
        return None
    return Georeference(dataset.crs, dataset.transform)
