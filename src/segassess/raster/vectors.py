"""Read polygon layers as masks, rasterised on the grid of an image."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.enums import MergeAlg

from segassess.errors import InputError
from segassess.raster.grid import Grid
from segassess.raster.library_errors import as_input_error
from segassess.raster.opening import RasterPath, is_remote
from segassess.raster.placing import require_meeting, to_pixels
from segassess.raster.polygon_parts import areas
from segassess.raster.urls import fetched, is_url

VECTOR_SUFFIXES = frozenset({"gpkg", "geojson", "json", "shp", "fgb"})
LAYER = "|layername="  # QGIS syntax: file.gpkg|layername=buildings

_EXACT = 2**53  # integers up to this size are exact as float64


@dataclass(frozen=True)
class PolygonPixels:
    """The pixels that one polygon covers in some rows."""

    polygon: int  # index in `VectorMask.polygons`
    rows: slice  # of its bounding box, within the requested rows
    columns: slice  # of its bounding box, within the image
    inside: NDArray[np.bool_]  # (h, w), True for pixels whose centre lies in the polygon


class VectorMask:
    """Polygons to be read as a mask by window; `file.gpkg|layername=NAME` names one of several layers.

    Coordinates are transformed to the image's CRS; without one they are pixels (origin upper left, y down). Raises InputError if
    the file cannot be read, has several layers and none is named, holds no polygons, or cannot be located.

    `polygons` (N,) are shapely (multi)polygons in pixel coordinates whose bounding boxes meet the image, `features` int64 (N,)
    their GDAL feature ids, `notes` sentences about what had to be guessed.
    """

    def __init__(self, path: str, grid: Grid) -> None:
        self.path = path
        self.grid = grid
        polygons, features, notes = read_polygons(path, grid)
        require_meeting(polygons, grid, path)
        here = np.sort(shapely.STRtree(polygons).query(shapely.box(0, 0, grid.width, grid.height)))
        notes.append(f"{len(here)} of {len(polygons)} polygons lie on the image and are rasterised on its grid (pixel centres).")
        self.polygons, self.features = polygons[here], features[here]
        self._tree = shapely.STRtree(self.polygons)
        self.notes = tuple(notes)

    def read(self, rows: slice = slice(None), columns: slice = slice(None)) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Rasterise a window by pixel centres: foreground bool (h, w), and validity (h, w), which is True everywhere."""
        top, bottom, _ = rows.indices(self.grid.height)
        left, right, _ = columns.indices(self.grid.width)
        pixels = burn(self.polygons[self._in(left, top, right, bottom)], left, top, right, bottom)
        return pixels, np.ones(pixels.shape, bool)

    def pixels(self, top: int, bottom: int) -> Iterator[PolygonPixels]:
        """Rasterise each polygon with pixels in rows `top` to `bottom` (exclusive) by itself, in the order of `polygons`."""
        chosen = self._in(0, top, self.grid.width, bottom)
        if not len(chosen):
            return
        # All at once; only a polygon near a pixel that several cover needs a raster of its own.
        parts, owners = shapely.get_parts(self.polygons[chosen], return_index=True)
        options = {"out_shape": (bottom - top, self.grid.width), "transform": Affine.translation(0, top), "dtype": "int32"}
        number = rasterio.features.rasterize(zip(parts, owners + 1, strict=True), **options)
        contested = rasterio.features.rasterize(parts, merge_alg=MergeAlg.add, **options) > 1
        low, high = np.array([0, top]), np.array([self.grid.width, bottom])
        bounds = shapely.bounds(self.polygons[chosen])
        starts = np.clip(np.floor(bounds[:, :2]), low, high).astype(int)
        stops = np.clip(np.ceil(bounds[:, 2:]), low, high).astype(int)
        for place, (index, (left, first), (right, last)) in enumerate(zip(chosen, starts, stops, strict=True), 1):
            if left < right and first < last:
                rows, columns = slice(first - top, last - top), slice(left, right)
                alone = not contested[rows, columns].any()
                inside = number[rows, columns] == place if alone else burn(self.polygons[[index]], left, first, right, last)
                yield PolygonPixels(int(index), rows, columns, inside)

    def attributes(self, features: ArrayLike) -> dict[str, "np.ma.MaskedArray[Any, Any]"]:
        """See `read_attributes`."""
        return read_attributes(self.path, features)

    def _in(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.intp]:
        """Indices of polygons whose bounding boxes meet a window."""
        return np.sort(self._tree.query(shapely.box(left, top, right, bottom)))


def read_polygons(path: str, grid: Grid) -> tuple[NDArray[Any], NDArray[np.int64], list[str]]:
    """Polygons (N,) in pixel coordinates, their feature ids int64 (N,), and notes on guesses; see `VectorMask`."""
    about, features, stored, _ = _read(path, columns=[], force_2d=True)
    if stored is None:
        raise InputError(f"{path} has no geometries; give a layer of polygons.")
    notes: list[str] = []
    geometries = areas(list(stored), notes)
    there = ~shapely.is_missing(geometries)
    if len(stored) and not there.any():
        raise InputError(
            f"{path} holds no polygons; a mask needs areas, so buffer its lines or points ({' '.join(notes).rstrip('.')})."
        )
    polygons = to_pixels(geometries[there], about["crs"], grid, path, notes)
    placed = ~shapely.is_missing(polygons)
    return polygons[placed], features[there][placed], notes


def read_attributes(path: str, features: ArrayLike) -> dict[str, "np.ma.MaskedArray[Any, Any]"]:
    """Read the layer's columns for feature ids (K,): masked arrays (K,) of integers, floats, booleans or text, by name.

    Dates are text; other types, such as lists, are left out. Raises InputError if the layer is unreadable or has lost a
    feature.
    """
    features = np.asarray(features, np.int64)
    about, ids, _, columns = _read(path, read_geometry=False, datetime_as_string=True)
    if not np.isin(features, ids).all():
        raise InputError(f"{path} has lost features since it was judged; judge it again.")
    order = np.argsort(ids)
    at = order[np.searchsorted(ids, features, sorter=order)]
    declared = dict(zip(about["fields"], about["dtypes"], strict=True))
    attributes = {}
    for name, values in zip(about["fields"], columns, strict=True):
        chosen = values[at]
        if chosen.dtype == object:
            if all(value is None or isinstance(value, str) for value in chosen):
                attributes[str(name)] = np.ma.array(chosen, mask=[value is None for value in chosen])
        else:
            absent = np.isnan(chosen) if chosen.dtype.kind == "f" else np.zeros(len(chosen), bool)
            if absent.any() and declared[name] == "int64" and (np.abs(chosen[~absent]) >= _EXACT).any():
                chosen = _exact(path, str(name), features, absent)
            # pyogrio reads integers and booleans as floats if some are absent.
            kind = declared[name] if declared[name].startswith(("int", "uint", "bool")) else chosen.dtype
            attributes[str(name)] = np.ma.array(np.where(absent, 0, chosen).astype(kind), mask=absent)
    return attributes


def is_vector(path: RasterPath) -> bool:
    """Whether a path has a vector suffix."""
    file = str(path).split(LAYER)[0].split("?")[0]
    return file.rpartition(".")[2].lower() in VECTOR_SUFFIXES


def burn(polygons: NDArray[Any], left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    """Whether each pixel centre lies in a polygon: bool (bottom - top, right - left)."""
    pixels = np.zeros((bottom - top, right - left), np.uint8)
    if len(polygons):
        # Overlapping parts of one multipolygon would cancel out.
        rasterio.features.rasterize(shapely.get_parts(polygons), out=pixels, transform=Affine.translation(left, top))
    return pixels > 0


def _exact(path: str, name: str, features: NDArray[np.int64], absent: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Large integers of a column with absent values, which would lose digits as floats."""
    quoted = name.replace('"', '""')
    _, ids, _, (values,) = _read(path, read_geometry=False, columns=[name], where=f'"{quoted}" IS NOT NULL')
    order = np.argsort(ids)
    exact = np.zeros(len(features), np.int64)
    exact[~absent] = values[order[np.searchsorted(ids, features[~absent], sorter=order)]]
    return exact


def _read(path: str, **options: Any) -> tuple[dict[str, Any], NDArray[np.int64], NDArray[Any] | None, list[NDArray[Any]]]:
    """Metadata, feature ids, WKB geometries and columns of a layer; `options` go to pyogrio's `read`."""
    with warnings.catch_warnings(), reading_layer(path):
        # They are closed, with a note.
        warnings.filterwarnings("ignore", "Non closed ring", RuntimeWarning)
        file, layer = file_and_layer(path)
        about, features, stored, columns = pyogrio.raw.read(file, layer=layer, return_fids=True, **options)
    return about, features, stored, columns


def reading_layer(path: str) -> AbstractContextManager[None]:
    """Report library errors in the block as a layer that cannot be read."""
    return as_input_error(f"{path} cannot be read as a layer of polygons ({{reason}}); save it as GeoPackage.", ValueError)


def file_and_layer(path: str) -> tuple[str, str | None]:
    """The file of `file|layername=NAME`, and the layer that is named or the only one with geometries, None if there is none.

    A file by URL is fetched. Raises InputError if the file does not exist, or has several layers and none is named.
    """
    file, _, layer = path.partition(LAYER)
    if is_url(file):
        file = str(fetched(file))
    if not is_remote(file) and not Path(file).is_file():
        raise InputError(f"{file} does not exist; give the path of a layer of polygons.")
    if layer:
        return file, layer
    # QGIS, and segassess, store styles in a layer without geometries.
    layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind is not None]
    if len(layers) > 1:
        raise InputError(f"{file} has the layers {', '.join(layers)}; name one, as in {file}{LAYER}{layers[0]}.")
    return file, layers[0] if layers else None
