"""Rasters as a viewer shows them: with EXIF orientation and min-is-white applied."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from segassess.raster.urls import PatientDataset

# GDAL does not apply the EXIF orientation of these formats.
_TURNED = ("JPEG", "PNG", "WEBP")
_ORIENTATION = 0x0112


class ShownDataset:
    """Wraps the rasterio dataset `stored` so that `read` returns what a viewer shows; everything else is delegated.

    `orientation` is EXIF's, 1 to 8 (1 as stored; always 1 with a georeference); `white` is the largest value of min-is-white
    data, else None. `path` is needed because GDAL reads the orientation of JPEG only.
    """

    def __init__(self, stored: Any, path: str | Path) -> None:
        self.stored = stored
        self._source = PatientDataset(stored, path)
        self.orientation = _orientation(stored, path)
        self.white = _white(stored)
        self.notes: list[str] = []
        if self.orientation != 1:
            self.notes.append(f"it is rotated by its EXIF orientation {self.orientation}.")
        if self.white is not None:
            self.notes.append("its values are stored as min-is-white and are inverted.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stored, name)

    @property
    def _transposed(self) -> bool:
        return self.orientation >= 5

    @property
    def height(self) -> int:
        """Number of rows as shown."""
        return int(self.stored.width if self._transposed else self.stored.height)

    @property
    def width(self) -> int:
        """Number of columns as shown."""
        return int(self.stored.height if self._transposed else self.stored.width)

    @property
    def colorinterp(self) -> tuple[ColorInterp, ...]:
        """Colour interpretation by band; grey for a min-is-white palette."""
        stored: tuple[ColorInterp, ...] = self.stored.colorinterp
        return stored if self.white is None else (ColorInterp.gray, *stored[1:])

    @property
    def nodatavals(self) -> tuple[float | None, ...]:
        """Nodata by band, in the values that `read` returns."""
        return tuple(value if None in (value, self.white) else self.white - value for value in self.stored.nodatavals)

    @property
    def nodata(self) -> float | None:
        """Nodata of the first band."""
        return self.nodatavals[0]

    def read(self, bands: int | list[int], **options: Any) -> NDArray[Any]:
        """See rasterio's `read`; supports the options `window` and `out_shape`."""
        data: NDArray[Any] = self._turned(self._source.read(bands, **self._as_stored(options)))
        return data if self.white is None else inverted(data, self.white)

    def read_masks(self, bands: int | list[int], **options: Any) -> NDArray[np.uint8]:
        """See rasterio's `read_masks`; supports the options `window` and `out_shape`."""
        return self._turned(self._source.read_masks(bands, **self._as_stored(options)))

    def _as_stored(self, options: dict[str, Any]) -> dict[str, Any]:
        if self.orientation == 1:
            return options
        stored = dict(options)
        if self._transposed and "out_shape" in stored:
            *bands, rows, columns = stored["out_shape"]
            stored["out_shape"] = (*bands, columns, rows)
        if "window" in stored:
            window = stored["window"]
            top, left, rows, columns = window.row_off, window.col_off, window.height, window.width
            # Undo what `_turned` does, in the opposite order.
            if self.orientation in (3, 4, 7, 8):
                top = self.height - top - rows
            if self.orientation in (2, 3, 6, 7):
                left = self.width - left - columns
            stored["window"] = Window(top, left, rows, columns) if self._transposed else Window(left, top, columns, rows)
        return stored

    def _turned(self, data: NDArray[Any]) -> NDArray[Any]:
        """Stored values (..., h, w) as shown."""
        if self._transposed:
            data = np.swapaxes(data, -1, -2)
        if self.orientation in (3, 4, 7, 8):
            data = data[..., ::-1, :]
        return data[..., ::-1] if self.orientation in (2, 3, 6, 7) else data


def inverted(data: NDArray[Any], white: int) -> NDArray[Any]:
    """Convert min-is-white values to min-is-black in the same dtype; NaN stays."""
    return np.asarray(white - data, data.dtype)


def _white(dataset: Any) -> int | None:
    if dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") != "YES" or np.dtype(dataset.dtypes[0]).kind != "u":
        return None
    bits = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * np.dtype(dataset.dtypes[0]).itemsize)
    return int(2 ** int(bits) - 1)


def _orientation(dataset: Any, path: str | Path) -> int:
    if dataset.driver not in _TURNED or dataset.crs is not None or not dataset.transform.is_identity:
        return 1
    said = dataset.tags().get("EXIF_Orientation")
    if said is None and Path(path).is_file():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path) as picture:
                    said = picture.getexif().get(_ORIENTATION)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return 1  # GDAL says what is wrong with it
    return int(said) if str(said) in "12345678" else 1
