"""Read polygons as a mask: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, rasterised on the grid of an image."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray

from segassess.errors import InputError
from segassess.raster.grid import Grid
from segassess.raster.library_errors import as_input_error
from segassess.raster.opening import RasterPath, is_remote
from segassess.raster.outlines import areas
from segassess.raster.placing import require_meeting, to_pixels

# Suffixes, without the dot, of what is read as polygons.
VECTOR_SUFFIXES = frozenset({"gpkg", "geojson", "json", "shp", "fgb"})
# As QGIS writes it: file.gpkg|layername=buildings.
LAYER = "|layername="

# Integers up to this size are exact as float64.
_EXACT = 2**53


@dataclass(frozen=True)
class PolygonPixels:
    """What one polygon covers of some rows.

    Attributes:
        polygon: its index.
        rows: of its box, within the rows asked for.
        columns: of its box, within the image.
        inside: bool (h, w), True in pixels of the box whose centre lies in it.
    """

    polygon: int
    rows: slice
    columns: slice
    inside: NDArray[np.bool_]


class VectorMask:
    """Polygons that are read as a mask on the grid of an image; see `open_vector_mask`.

    Attributes:
        path: where they are.
        grid: of the image.
        polygons: (N,) shapely polygons and multipolygons in pixel coordinates, those whose boxes meet the image.
        features: int64 (N,), their ids in the layer, as GDAL gives them.
        notes: sentences about what had to be guessed.
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
        """Rasterise a window: a pixel is foreground if its centre lies in a polygon.

        Args:
            rows: from and to (exclusive) within the image; all by default.
            columns: likewise.

        Returns:
            bool (h, w), the foreground, and bool (h, w), True everywhere.
        """
        top, bottom, _ = rows.indices(self.grid.height)
        left, right, _ = columns.indices(self.grid.width)
        pixels = _burn(self.polygons[self._in(left, top, right, bottom)], left, top, right, bottom)
        return pixels, np.ones(pixels.shape, bool)

    def pixels(self, top: int, bottom: int) -> Iterator[PolygonPixels]:
        """Rasterise each polygon by itself, so that where some overlap a pixel is told of all of them.

        Args:
            top: first row.
            bottom: last row + 1.

        Yields:
            In the order of `polygons`, those whose boxes have pixels in these rows.
        """
        chosen = self._in(0, top, self.grid.width, bottom)
        low, high = np.array([0, top]), np.array([self.grid.width, bottom])
        bounds = shapely.bounds(self.polygons[chosen])
        starts = np.clip(np.floor(bounds[:, :2]), low, high).astype(int)
        stops = np.clip(np.ceil(bounds[:, 2:]), low, high).astype(int)
        for index, (left, first), (right, last) in zip(chosen, starts, stops, strict=True):
            if left < right and first < last:
                inside = _burn(self.polygons[[index]], left, first, right, last)
                yield PolygonPixels(int(index), slice(first - top, last - top), slice(left, right), inside)

    def attributes(self, features: ArrayLike) -> dict[str, "np.ma.MaskedArray[Any, Any]"]:
        """Columns of the layer, which are read only now.

        Args:
            features: (K,) ids of some of its features.

        Returns:
            By name, (K,) values in the order of the ids, masked where there is none: integers, floats, booleans or texts (dates
            too). Columns of any other type, such as lists, are left out.

        Raises:
            InputError: if the layer cannot be read any more, or has lost a feature.
        """
        return _read_attributes(self.path, np.asarray(features, np.int64))

    def _in(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.intp]:
        """Indices of polygons whose boxes meet a window."""
        return np.sort(self._tree.query(shapely.box(left, top, right, bottom)))


@contextmanager
def open_vector_mask(path: RasterPath, grid: Grid) -> Iterator[VectorMask]:
    """Open polygons to be read as a mask by windows.

    Args:
        path: a file, one of GDAL's `/vsi...` paths, or a URL; `file.gpkg|layername=NAME` names one of several layers.
        grid: of the image. Coordinates are brought to its CRS; if it has none, they are taken as pixels, from its upper left
            corner to the right and down.

    Raises:
        InputError: if the file cannot be read, has several layers and none is named, holds no polygons, or it is not known where
            they lie.
    """
    yield VectorMask(str(path), grid)


def read_polygons(path: str, grid: Grid) -> tuple[NDArray[Any], NDArray[np.int64], list[str]]:
    """Polygons of a layer in pixel coordinates of an image; see `open_vector_mask`.

    Returns:
        (N,) shapely polygons and multipolygons, int64 (N,) ids of their features, and sentences about what had to be guessed.
    """
    about, features, stored, _ = _read(path, columns=[], force_2d=True)
    if stored is None:
        raise InputError(f"{path} has no geometries; give a layer of polygons.")
    notes: list[str] = []
    geometries = areas(list(stored), notes)
    there = ~shapely.is_missing(geometries)
    if len(stored) and not there.any():
        raise InputError(f"{path} holds no polygons; a mask needs areas, so buffer its lines or points ({' '.join(notes)})")
    polygons = to_pixels(geometries[there], about["crs"], grid, path, notes)
    placed = ~shapely.is_missing(polygons)
    return polygons[placed], features[there][placed], notes


def is_vector(path: RasterPath) -> bool:
    """Whether a path is read as polygons."""
    file = str(path).split(LAYER)[0].split("?")[0]
    return file.rpartition(".")[2].lower() in VECTOR_SUFFIXES


def _burn(polygons: NDArray[Any], left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    """Whether the centre of each pixel of a window lies in one of the polygons, bool (bottom - top, right - left)."""
    pixels = np.zeros((bottom - top, right - left), np.uint8)
    if len(polygons):
        # Parts of one multipolygon that overlap would cancel out.
        rasterio.features.rasterize(shapely.get_parts(polygons), out=pixels, transform=Affine.translation(left, top))
    return pixels > 0


def _read_attributes(path: str, features: NDArray[np.int64]) -> dict[str, "np.ma.MaskedArray[Any, Any]"]:
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
            # Integers and booleans are read as floats where some are absent.
            kind = declared[name] if declared[name].startswith(("int", "uint", "bool")) else chosen.dtype
            attributes[str(name)] = np.ma.array(np.where(absent, 0, chosen).astype(kind), mask=absent)
    return attributes


def _exact(path: str, name: str, features: NDArray[np.int64], absent: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Integers of a column that are too large for the floats as which they are read where some are absent."""
    quoted = name.replace('"', '""')
    _, ids, _, (values,) = _read(path, read_geometry=False, columns=[name], where=f'"{quoted}" IS NOT NULL')
    order = np.argsort(ids)
    exact = np.zeros(len(features), np.int64)
    exact[~absent] = values[order[np.searchsorted(ids, features[~absent], sorter=order)]]
    return exact


def _read(path: str, **options: Any) -> tuple[dict[str, Any], NDArray[np.int64], NDArray[Any] | None, list[NDArray[Any]]]:
    """What a layer says of itself, ids of its features, geometries as WKB and columns; `options` are of pyogrio's `read`."""
    file, _, layer = path.partition(LAYER)
    if not is_remote(file) and not Path(file).is_file():
        raise InputError(f"{file} does not exist; give the path of a layer of polygons.")
    unreadable = as_input_error(f"{path} cannot be read as a layer of polygons ({{reason}}); save it as GeoPackage.", ValueError)
    with warnings.catch_warnings(), unreadable:
        # They are closed, with a note.
        warnings.filterwarnings("ignore", "Non closed ring", RuntimeWarning)
        if not layer:
            # QGIS leaves its styles as a layer without geometries.
            layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind is not None]
            if len(layers) > 1:
                raise InputError(f"{file} has the layers {', '.join(layers)}; name one, as in {file}{LAYER}{layers[0]}.")
            layer = layers[0] if layers else ""
        about, features, stored, columns = pyogrio.raw.read(file, layer=layer or None, return_fids=True, **options)
    return about, features, stored, columns
