"""Read binary masks from rasters, on their own grid or on that of an image."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from segassess.errors import InputError
from segassess.raster.grid import Georeference, Grid, apply_to_all, transformed
from segassess.raster.image import WholeRaster, alpha_band, sample_size, valid_pixels, window_of
from segassess.raster.library_errors import LIBRARY_ERRORS
from segassess.raster.opening import RasterPath, opened, reading
from segassess.raster.orientation import inverted
from segassess.raster.urls import PatientDataset

_WHOLE = slice(None)
_POINTS = 9  # points along each side of an image that are tested in the CRS of its mask


class RasterMask:
    """An open raster mask with its `path`, `grid` and `notes` (sentences about guesses); see `open_raster_mask`."""

    def __init__(self, dataset: Any, path: RasterPath, label: int | None, white: int | None = None) -> None:
        self.path = str(path)
        self._white = white
        self.grid = Grid.of(dataset)
        self._dataset = dataset
        self._label = label
        notes: list[str] = []
        self._alpha = alpha_band(dataset, notes)
        self._bands = tuple(band for band in range(1, dataset.count + 1) if band != self._alpha)
        self._nodata_is_background = dataset.nodata == 0
        if self._nodata_is_background:
            notes.append("nodata is 0; these pixels are used as background.")
        # A drawing on transparent ground; its colours may differ by band.
        self._drawn = self._alpha is not None and bool((self._transparent(out_shape=sample_size(dataset))).any())
        size = sample_size(dataset)
        data, pixels, valid = self._values(out_shape=(len(self._bands), *size))
        declared = dataset.nodata is not None and np.isnan(dataset.nodata)
        if not declared and data.dtype.kind == "f" and np.isnan(data).any():
            notes.append("pixels that are NaN are not assessed.")
        if self._drawn:
            notes.append("transparent pixels are used as background.")
        if label is not None and size == (dataset.height, dataset.width) and not pixels.any():
            notes.append(f"no pixel has the value {label}.")
        if label is None:
            notes += _describe(data[0], pixels, valid, dataset.nodata, whole=size == (dataset.height, dataset.width))
        if dataset.driver == "JPEG":
            notes.append("JPEG is lossy, and values near 0 count as foreground; save masks as PNG or TIFF.")
        self.notes = tuple(notes)

    def read(self, rows: slice = _WHOLE, columns: slice = _WHOLE) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read a window: foreground bool (h, w), False where not valid, and validity bool (h, w); InputError if bands differ."""
        with reading(self.path):
            _, pixels, valid = self._values(window=window_of(self.grid, rows, columns))
        return pixels, valid

    def _values(self, **options: Any) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
        """Values (bands, h, w), foreground and validity (h, w); `options` go to rasterio's `read`."""
        data = self._dataset.read(list(self._bands), **options)
        if self._white is not None:
            data = inverted(data, self._white)
        if self._nodata_is_background:
            valid: NDArray[np.bool_] = np.isfinite(data).all(axis=0)
        else:
            valid = valid_pixels(self._dataset, data, self._bands, None, options)
        foreground = data > 0 if self._label is None else data == self._label
        if not self._drawn and any(not np.array_equal(band, data[0], equal_nan=band.dtype.kind == "f") for band in data[1:]):
            raise InputError(f"{self.path} has {len(self._bands)} different bands, like an image; give a mask with one band.")
        pixels: NDArray[np.bool_] = foreground.any(axis=0) & valid
        if self._alpha is not None:
            plane = {name: value[1:] if name == "out_shape" else value for name, value in options.items()}
            pixels &= ~self._transparent(**plane)
        return data, pixels, valid

    def _transparent(self, **options: Any) -> NDArray[np.bool_]:
        return np.asarray(self._dataset.read(self._alpha, **options) == 0)


@contextmanager
def open_raster_mask(path: RasterPath, grid: Grid | None = None, label: int | None = None) -> Iterator[RasterMask]:
    """Open a raster to be read as a mask by window: any value > 0 (or `label`) is foreground; palettes are read by index.

    Nodata and NaN are not valid, except nodata 0, which tools like gdal_rasterize write for background. Transparent pixels are
    background too, because drawing tools leave background transparent. A mask on another grid is resampled by nearest neighbour,
    which its notes say; pixels that it does not cover are not valid. Without georeference it counts as aligned. Raises
    InputError if the file is missing, not an image, truncated, empty or complex, if its bands differ, or if its location is
    unknown.
    """
    with opened(path, "a mask") as dataset:
        difference = None if grid is None else grid.difference(Grid.of(dataset))
        if grid is None or difference is None:
            mask = RasterMask(dataset, path, label)
            mask.notes = (*dataset.notes, *mask.notes)
            yield mask
            return
        own = Georeference.of(dataset)
        if own is None or own.crs is None or grid.georeference is None or grid.georeference.crs is None:
            raise InputError(
                f"{path} {difference} and can only be resampled if both have a CRS; give a mask on the grid of the image."
            )
        _require_sight(dataset, own, grid, grid.georeference, path)
        # No mask holds NaN, so NaN marks what the mask does not cover.
        source_nodata = None if dataset.nodata == 0 else dataset.stored.nodata
        layout = {
            "crs": grid.georeference.crs,
            "transform": grid.georeference.transform,
            "height": grid.height,
            "width": grid.width,
            # float32 cannot hold class or object numbers beyond 2^24.
            "dtype": np.result_type(dataset.dtypes[0], np.float32).name,
        }
        with WarpedVRT(
            dataset.stored, resampling=Resampling.nearest, src_nodata=source_nodata, nodata=np.nan, **layout
        ) as warped:
            mask = RasterMask(PatientDataset(warped, path), path, label, dataset.white)
            resampled = f"the mask {difference}; it is resampled to the grid of the image by nearest neighbour."
            mask.notes = (*dataset.notes, resampled, *mask.notes)
            yield mask


def _require_sight(dataset: Any, own: Georeference, grid: Grid, image: Georeference, path: RasterPath) -> None:
    """Refuse a mask to whose CRS no point of the image can be transformed; GDAL would leave its pixels uninitialised."""
    rows, columns = (np.linspace(0, size, _POINTS) for size in (grid.height, grid.width))
    points = apply_to_all(image.transform, np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2))
    for point in points[:, None]:
        with suppress(*LIBRARY_ERRORS):
            if np.isfinite(transformed(point, image.crs, own.crs)).all():
                return
    raise InputError(
        f"{path} is in {own.crs_name}, to which no point of the image (in {image.crs_name}) can be transformed; "
        "give a mask in the CRS of the image."
    )


def read_mask(path: RasterPath) -> WholeRaster[np.bool_]:
    """Read a whole mask on its own grid; see `open_raster_mask`."""
    with open_raster_mask(path) as mask:
        pixels, valid = mask.read()
        return WholeRaster(pixels, valid, mask.grid.georeference, mask.path, mask.notes)


def _describe(
    band: NDArray[Any], pixels: NDArray[np.bool_], valid: NDArray[np.bool_], nodata: float | None, whole: bool
) -> list[str]:
    notes = []
    values = np.unique(band[valid])
    # 0 and one positive number leave no doubt; probabilities, labels and -1/1 do.
    if (values < 0).any() or np.count_nonzero(values > 0) > 1:
        shown = ", ".join(f"{value:g}" for value in values[:6]) + (", ..." if values.size > 6 else "")
        notes.append(f"the mask has {values.size} values ({shown}); any value > 0 is used as foreground.")
    if not whole:
        return notes
    if not valid.any():
        notes.append("the mask has no valid pixel.")
    elif not pixels.any():
        notes.append("the mask has no foreground.")
        if nodata is not None and nodata > 0 and not valid.all():
            notes.append(f"pixels of the value {nodata:g} are nodata; if they are the foreground, remove the nodata value.")
    return notes
