"""Write findings as layers of polygons: GeoPackage for a GIS, GeoJSON in longitude and latitude on request."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError

from segassess.files import atomic_path, fault_of_disk
from segassess.findings.error_regions import ERROR_COLUMNS, ErrorRegion
from segassess.findings.object_scores import OBJECT_COLUMNS, ObjectScore
from segassess.findings.polygon_scores import POLYGON_COLUMNS, PolygonScore
from segassess.raster import Georeference
from segassess.raster.grid import apply_to_all

# A GeoPackage says when it was written; said so, the same findings are the same file.
_EPOCH = "1970-01-01T00:00:00.000Z"
# Bytes that a GeoPackage needs without a feature, and room for its journal.
_SMALLEST = 2**20
# Features that are written at once.
_CHUNK = 20_000
_INTEGERS = ("error", "object", "polygon", "feature", "area_px", "left", "top", "right", "bottom")
_TEXTS = ("quality", "form", "verdict")
# What a GeoPackage calls two columns of its own, and what a column of the same name is called in front.
_RESERVED, _PREFIX = ("fid", "geom"), "layer_"


def write_errors(
    path: str | Path, errors: Sequence[ErrorRegion], georeference: Georeference | None, simplify_px: float = 0.0
) -> None:
    """Write the layer `errors`: polygons with `ERROR_COLUMNS`, worst first.

    Args:
        path: ends in .gpkg (CRS of the image) or .geojson (WGS 84; pixel coordinates of an image without CRS).
        errors: what was found.
        georeference: of the image; None keeps pixel coordinates, x to the right and y downwards from its upper left corner.
        simplify_px: outlines may leave their pixels' edges by so much.

    Raises:
        RequestError: if the folder cannot be written to.
        OutputError: if the disk is full.
    """
    _write(Path(path), "errors", errors, ERROR_COLUMNS, georeference, simplify_px)


def write_objects(
    path: str | Path, objects: Sequence[ObjectScore], georeference: Georeference | None, simplify_px: float = 0.0
) -> None:
    """Write the layer `objects`: polygons with `OBJECT_COLUMNS`, most expected errors first; see `write_errors`."""
    _write(Path(path), "objects", objects, OBJECT_COLUMNS, georeference, simplify_px)


def write_polygon_scores(
    path: str | Path,
    polygons: Sequence[PolygonScore],
    attributes: Mapping[str, NDArray[Any]],
    georeference: Georeference | None,
) -> None:
    """Write the layer `polygons`: outlines as they were given, with `POLYGON_COLUMNS`, most expected false pixels first.

    Args:
        path: see `write_errors`.
        polygons: what is estimated of them.
        attributes: by name, (N,) values of the polygons, masked where there is none. What is called as another column has
            `layer_` put before its name.
        georeference: of the image, see `write_errors`.

    Raises:
        RequestError: if the folder cannot be written to.
        OutputError: if the disk is full.
    """
    _write(Path(path), "polygons", polygons, POLYGON_COLUMNS, georeference, 0.0, _renamed(attributes, POLYGON_COLUMNS))


def write_polygons(
    path: str | Path, layer: str, outlines: NDArray[Any], columns: Mapping[str, NDArray[Any]], georeference: Georeference | None
) -> None:
    """Write any layer of polygons.

    Args:
        path: ends in .gpkg or .geojson, see `write_errors`.
        layer: its name.
        outlines: (N,) shapely polygons or multipolygons in pixel coordinates.
        columns: (N,) values by name.
        georeference: of the image.

    Raises:
        RequestError: if the folder cannot be written to.
        OutputError: if the disk is full.
    """
    _write_chunks(Path(path), layer, iter([(outlines, columns)]), georeference)


def _write_chunks(
    path: Path, layer: str, chunks: Iterator[tuple[NDArray[Any], Mapping[str, NDArray[Any]]]], georeference: Georeference | None
) -> None:
    transform = Affine.identity() if georeference is None else georeference.transform
    crs = None if georeference is None or georeference.crs is None else georeference.crs.to_wkt()
    geojson = path.suffix == ".geojson"
    options: dict[str, Any] = {"RFC7946": "YES"} if geojson and crs else {}
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _EPOCH})
    with warnings.catch_warnings(), atomic_path(path) as beside:
        # Images may have no CRS.
        warnings.filterwarnings("ignore", "'crs' was not provided")
        # GDAL makes the file itself.
        beside.unlink()
        for number, (outlines, columns) in enumerate(chunks):
            try:
                pyogrio.raw.write(
                    beside,
                    geometry=shapely.to_wkb(_multi(shapely.transform(outlines, lambda points: apply_to_all(transform, points)))),
                    field_data=[np.ma.getdata(values) for values in columns.values()],
                    field_mask=[np.ma.getmask(values) if np.ma.is_masked(values) else None for values in columns.values()],
                    fields=list(columns),
                    layer=layer,
                    driver="GeoJSON" if geojson else "GPKG",
                    geometry_type="MultiPolygon",
                    crs=crs,
                    layer_options=options,
                    append=number > 0,
                )
            except (DataSourceError, DataLayerError, FeatureError, GeometryError) as error:
                needed = _SMALLEST + len(outlines) * 1024
                raise fault_of_disk(beside.parent, needed, f"GDAL could not write it: {error}") from error


def _write(
    path: Path,
    layer: str,
    rows: Sequence[ErrorRegion] | Sequence[ObjectScore] | Sequence[PolygonScore],
    columns: Sequence[str],
    georeference: Georeference | None,
    simplify_px: float,
    more: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    def chunks() -> Iterator[tuple[NDArray[Any], dict[str, NDArray[Any]]]]:
        # Outlines of a city do not fit into memory at once. One chunk there is at least, of an empty layer.
        for first in range(0, max(len(rows), 1), _CHUNK):
            some = rows[first : first + _CHUNK]
            outlines = np.array([row.outline for row in some], object)
            if simplify_px and len(outlines):
                outlines = shapely.simplify(outlines, simplify_px, preserve_topology=True)
            further = {name: values[first : first + _CHUNK] for name, values in (more or {}).items()}
            yield outlines, {**{name: _column(name, some) for name in columns}, **further}

    _write_chunks(path, layer, chunks(), georeference)


def _renamed(attributes: Mapping[str, NDArray[Any]], taken: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Attributes by names that differ from those taken and from one another; to a GeoPackage, `Name` and `name` are one."""
    used, renamed = {*taken, *_RESERVED}, {}
    for name, values in attributes.items():
        while name.lower() in used:
            name = f"{_PREFIX}{name}"
        used.add(name.lower())
        renamed[name] = values
    return renamed


def _multi(geometries: NDArray[Any]) -> NDArray[Any]:
    """Multipolygons, because a layer has one type."""
    single = shapely.get_type_id(geometries) == shapely.GeometryType.POLYGON
    result = geometries.copy()
    for index in np.flatnonzero(single):
        result[index] = shapely.MultiPolygon([geometries[index]])
    return result


def _column(name: str, rows: Sequence[Any]) -> NDArray[Any]:
    values = [getattr(row, name) for row in rows]
    if name in _TEXTS:
        return np.array(values, object)
    return np.array(values, np.int64 if name in _INTEGERS else np.float64)
