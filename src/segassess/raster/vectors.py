"""Read polygons as a mask: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, rasterised on the grid of an image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.errors
import rasterio.features
import rasterio.warp
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from segassess.errors import InputError
from segassess.raster.grid import Grid, apply_to_all
from segassess.raster.opening import RasterPath, is_remote, reason

# Suffixes, without the dot, of what is read as polygons.
VECTOR_SUFFIXES = frozenset({"gpkg", "geojson", "json", "shp", "fgb"})
# As QGIS writes it: file.gpkg|layername=buildings.
LAYER = "|layername="

_POLYGON_TYPES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


class VectorMask:
    """Polygons that are read as a mask on the grid of an image; see `open_vector_mask`.

    Attributes:
        path: where they are.
        grid: of the image.
        notes: sentences about what had to be guessed.
    """

    def __init__(self, path: str, grid: Grid) -> None:
        self.path = path
        self.grid = grid
        self._polygons, notes = read_polygons(path, grid)
        self._tree = shapely.STRtree(self._polygons)
        here = self._tree.query(shapely.box(0, 0, grid.width, grid.height))
        count = len(self._polygons)
        notes.append(f"{len(here)} of {count} polygons lie on the image and are rasterised on its grid (pixel centres).")
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
        pixels = np.zeros((bottom - top, right - left), np.uint8)
        chosen = self._polygons[np.sort(self._tree.query(shapely.box(left, top, right, bottom)))]
        if len(chosen):
            rasterio.features.rasterize(chosen, out=pixels, transform=Affine.translation(left, top))
        return pixels > 0, np.ones(pixels.shape, bool)


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


def read_polygons(path: str, grid: Grid) -> tuple[NDArray[Any], list[str]]:
    """Polygons of a layer in pixel coordinates of an image; see `open_vector_mask`.

    Returns:
        (N,) shapely polygons and multipolygons, and sentences about what had to be guessed.
    """
    geometries, crs = _read(path)
    notes: list[str] = []
    areal = np.isin(shapely.get_type_id(geometries), _POLYGON_TYPES)
    if len(geometries) and not areal.any():
        raise InputError(f"{path} holds no polygons; a mask needs areas, so buffer its lines or points.")
    if not areal.all():
        notes.append(f"{int((~areal).sum())} of {len(areal)} features are no polygons and are left out.")
    return _to_pixels(geometries[areal], crs, grid, path, notes), notes


def is_vector(path: RasterPath) -> bool:
    """Whether a path is read as polygons."""
    file = str(path).split(LAYER)[0].split("?")[0]
    return file.rpartition(".")[2].lower() in VECTOR_SUFFIXES


def _read(path: str) -> tuple[NDArray[Any], str | None]:
    """Geometries, none of them empty, and the CRS of a layer."""
    file, _, layer = path.partition(LAYER)
    if not is_remote(file) and not Path(file).is_file():
        raise InputError(f"{file} does not exist; give the path of a layer of polygons.")
    try:
        if not layer:
            layers = [str(name) for name in pyogrio.list_layers(file)[:, 0]]
            if len(layers) > 1:
                raise InputError(f"{file} has the layers {', '.join(layers)}; name one, as in {file}{LAYER}{layers[0]}.")
        about, _, stored, _ = pyogrio.raw.read(file, layer=layer or None, columns=[], force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a layer of polygons ({reason(error)}); save it as GeoPackage.") from error
    if stored is None:
        raise InputError(f"{path} has no geometries; give a layer of polygons.")
    geometries = shapely.from_wkb(stored, on_invalid="ignore")
    return geometries[~(shapely.is_missing(geometries) | shapely.is_empty(geometries))], about["crs"]


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
