"""Read polygons as a mask: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, rasterised on the grid of an image."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.errors
import rasterio.features
import rasterio.warp
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import RasterioError

from segassess.errors import InputError
from segassess.raster.grid import Grid, apply_to_all
from segassess.raster.opening import RasterPath, is_remote, reason

# Suffixes, without the dot, of what is read as polygons.
VECTOR_SUFFIXES = frozenset({"gpkg", "geojson", "json", "shp", "fgb"})
# As QGIS writes it: file.gpkg|layername=buildings.
LAYER = "|layername="

_POLYGON_TYPES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


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
    geometries, features, crs = _read_geometries(path)
    notes: list[str] = []
    areal = np.isin(shapely.get_type_id(geometries), _POLYGON_TYPES)
    if len(geometries) and not areal.any():
        raise InputError(f"{path} holds no polygons; a mask needs areas, so buffer its lines or points.")
    if not areal.all():
        notes.append(f"{int((~areal).sum())} of {len(areal)} features are no polygons and are left out.")
    return _to_pixels(geometries[areal], crs, grid, path, notes), features[areal], notes


def is_vector(path: RasterPath) -> bool:
    """Whether a path is read as polygons."""
    file = str(path).split(LAYER)[0].split("?")[0]
    return file.rpartition(".")[2].lower() in VECTOR_SUFFIXES


def _burn(polygons: NDArray[Any], left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    """Whether the centre of each pixel of a window lies in one of the polygons, bool (bottom - top, right - left)."""
    pixels = np.zeros((bottom - top, right - left), np.uint8)
    if len(polygons):
        rasterio.features.rasterize(polygons, out=pixels, transform=Affine.translation(left, top))
    return pixels > 0


def _read_geometries(path: str) -> tuple[NDArray[Any], NDArray[np.int64], str | None]:
    """Geometries, none of them empty, the ids of their features, and the CRS of a layer."""
    about, features, stored, _ = _read(path, columns=[], force_2d=True)
    if stored is None:
        raise InputError(f"{path} has no geometries; give a layer of polygons.")
    geometries = shapely.from_wkb(stored, on_invalid="ignore")
    there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    return geometries[there], features[there], about["crs"]


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
            # Integers and booleans are read as floats where some are absent.
            kind = declared[name] if declared[name].startswith(("int", "uint", "bool")) else chosen.dtype
            attributes[str(name)] = np.ma.array(np.where(absent, 0, chosen).astype(kind), mask=absent)
    return attributes


def _read(path: str, **options: Any) -> tuple[dict[str, Any], NDArray[np.int64], NDArray[Any] | None, list[NDArray[Any]]]:
    """What a layer says of itself, ids of its features, geometries as WKB and columns; `options` are of pyogrio's `read`."""
    file, _, layer = path.partition(LAYER)
    if not is_remote(file) and not Path(file).is_file():
        raise InputError(f"{file} does not exist; give the path of a layer of polygons.")
    try:
        if not layer:
            layers = [str(name) for name in pyogrio.list_layers(file)[:, 0]]
            if len(layers) > 1:
                raise InputError(f"{file} has the layers {', '.join(layers)}; name one, as in {file}{LAYER}{layers[0]}.")
        about, features, stored, columns = pyogrio.raw.read(file, layer=layer or None, return_fids=True, **options)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a layer of polygons ({reason(error)}); save it as GeoPackage.") from error
    return about, features, stored, columns


def _to_pixels(geometries: NDArray[Any], crs: str | None, grid: Grid, path: str, notes: list[str]) -> NDArray[Any]:
    """Geometries in pixel coordinates of the grid."""
    georeference = grid.georeference
    if georeference is None:
        notes.append("the image has no georeference, so coordinates are taken as pixels from its upper left corner, downwards.")
        return geometries
    if crs is None and georeference.crs is not None:
        notes.append("the layer has no CRS; that of the image is assumed.")
    if crs is not None and georeference.crs is None:
        raise InputError(f"{path} is in {crs} and its image has no CRS; assign one to the image.")
    to_pixels = ~georeference.transform

    def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
        if crs is not None and len(points):
            points = np.column_stack(rasterio.warp.transform(crs, georeference.crs, points[:, 0], points[:, 1]))
        return apply_to_all(to_pixels, points)

    try:
        return np.asarray(shapely.transform(geometries, convert))
    except (RasterioError, ValueError) as error:
        raise InputError(f"{path} cannot be brought from {crs} to {georeference.crs_name} ({reason(error)}).") from error
