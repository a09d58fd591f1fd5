"""Write findings as layers of polygons: GeoPackage for a GIS, and others on request."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError

from segassess.files import atomic_path, fault_of_disk
from segassess.findings.array_store import Kept
from segassess.findings.table import FindingsTable, crs_text, placed
from segassess.options.output import Format
from segassess.outputs.layer_styles import add_style
from segassess.raster import Georeference
from segassess.raster.grid import transformed

# A GeoPackage stores when it was written; with one date, equal findings give equal files.
_DATE, _EPOCH = "OGR_CURRENT_DATE", "1970-01-01T00:00:00.000Z"
# Later versions make older GDAL warn.
GPKG_VERSION = {"VERSION": "1.2"}
# Bytes of a GeoPackage without features and of its journal.
_SMALLEST = 2**20
_DRIVERS = {"gpkg": "GPKG", "geojson": "GeoJSON", "fgb": "FlatGeobuf", "pmtiles": "PMTiles"}
# As `output.formats` names them.
FORMATS: tuple[Format, ...] = get_args(Format)
# GDAL appends to these.
_BY_PARTS = ("gpkg", "geojson")
# Zoom levels of vector tiles: of a town, and of a shed.
_DATASET_OPTIONS = {"gpkg": GPKG_VERSION, "pmtiles": {"MINZOOM": "10", "MAXZOOM": "17"}}
# How GeoPandas writes what the standard asks for, with boxes to filter by.
GEOPARQUET: Mapping[str, Any] = {"index": False, "schema_version": "1.1.0", "write_covering_bbox": True}
# Two columns that a GeoPackage has itself, and the prefix for columns of the same name.
_RESERVED, _PREFIX = ("fid", "geom"), "layer_"


def write_layers(
    folder: Path,
    name: str,
    table: FindingsTable,
    georeference: Georeference | None,
    formats: Sequence[str],
    simplify_px: float = 0.0,
) -> None:
    """Write findings as `write_layer` does, in each of the formats.

    Vector tiles only if there are findings and the image has a place on the earth.
    """
    for suffix in formats:
        if suffix != "pmtiles" or (len(table) and _has_place(georeference)):
            write_layer(folder / f"{name}.{suffix}", table, georeference, simplify_px)


def write_layer(
    path: str | Path,
    table: FindingsTable,
    georeference: Georeference | None,
    simplify_px: float = 0.0,
    geometry_type: str = "MultiPolygon",
) -> None:
    """Write findings as a layer that is named after the file; `geometry_type` is a name of GDAL.

    `path` ends in .gpkg, .fgb or .parquet (GeoParquet 1.1), in the CRS of the image, in .geojson (WGS 84 if the image has a CRS),
    or in .pmtiles, which needs a CRS and a finding. Without a georeference, coordinates are pixels, x to the right and y
    downwards from the upper left corner. Columns may be masked arrays. Outlines may leave the edges of pixels by `simplify_px`. A
    GeoPackage and GeoJSON are written part by part, of all others the outlines are in memory at once. Raises RequestError if the
    folder cannot be written to, OutputError if the disk is full.
    """
    path, crs = Path(path), crs_text(georeference)
    kind = path.suffix[1:]
    with warnings.catch_warnings(), _dated_epoch(), atomic_path(path) as beside:
        # Images may have no CRS.
        warnings.filterwarnings("ignore", "'crs' was not provided")
        # GDAL makes the file itself.
        beside.unlink()
        # An empty layer has one part.
        parts = list(table.parts()) if kind in _BY_PARTS else [slice(0, len(table))]
        for part in parts or [slice(0, 0)]:
            outlines = table.outlines(part)
            if simplify_px and len(outlines):
                outlines = shapely.simplify(outlines, simplify_px, preserve_topology=True)
            outlines = placed(outlines, georeference)
            columns = {name: values[part] for name, values in table.columns.items()}
            if kind == "parquet":
                _write_geoparquet(beside, columns, outlines, crs)
                continue
            if kind == "pmtiles":
                outlines, crs = _in_degrees(outlines, georeference), "EPSG:4326"
            try:
                pyogrio.raw.write(
                    beside,
                    geometry=shapely.to_wkb(outlines),
                    field_data=[np.ma.getdata(values) for values in columns.values()],
                    field_mask=[np.ma.getmask(values) if np.ma.is_masked(values) else None for values in columns.values()],
                    fields=list(columns),
                    layer=path.stem,
                    driver=_DRIVERS[kind],
                    geometry_type=geometry_type,
                    promote_to_multi=geometry_type.startswith("Multi"),
                    crs=crs,
                    layer_options={"RFC7946": "YES"} if kind == "geojson" and crs else {},
                    dataset_options={**_DATASET_OPTIONS.get(kind, {}), **({"NAME": path.stem} if kind == "pmtiles" else {})},
                    append=part.start > 0,
                )
            except (DataSourceError, DataLayerError, FeatureError, GeometryError) as error:
                needed = _SMALLEST + len(outlines) * 1024
                raise fault_of_disk(beside.parent, needed, f"GDAL could not write it: {error}") from error
        if kind == "gpkg":
            add_style(beside, path.stem, list(table.columns))


def _write_geoparquet(path: Path, columns: Mapping[str, NDArray[Any]], outlines: NDArray[Any], crs: str | None) -> None:
    import geopandas
    import pandas

    series = {}
    for name, values in columns.items():
        column = pandas.Series(np.ma.getdata(values))
        # A masked whole number stays one.
        series[name] = column.convert_dtypes().mask(np.ma.getmaskarray(values)) if np.ma.is_masked(values) else column
    frame = geopandas.GeoDataFrame(series, geometry=list(outlines), crs=crs)
    frame.to_parquet(path, **GEOPARQUET)


def _has_place(georeference: Georeference | None) -> bool:
    if georeference is None or georeference.crs is None:
        return False
    return georeference.degrees(np.array([[georeference.transform.c, georeference.transform.f]])) is not None


def _in_degrees(outlines: NDArray[Any], georeference: Georeference | None) -> NDArray[Any]:
    if georeference is None or not len(outlines):
        return outlines
    return np.asarray(shapely.transform(outlines, lambda points: transformed(points, georeference.crs, "EPSG:4326")))


def with_attributes(table: FindingsTable, attributes: Mapping[str, NDArray[Any]]) -> FindingsTable:
    """A table with further columns, (N,) values by name, which may be masked.

    To a GeoPackage, `Name` and `name` are one; a column whose name is taken gets the prefix `layer_`.
    """
    used = {*table.columns, *_RESERVED}
    renamed: dict[str, Kept] = dict(table.columns)
    for name, values in attributes.items():
        while name.lower() in used:
            name = f"{_PREFIX}{name}"
        used.add(name.lower())
        renamed[name] = values
    return FindingsTable(renamed, table.shapes)


@contextmanager
def _dated_epoch() -> Iterator[None]:
    """Make GDAL write one date within the block; the option belongs to the whole process, so it is restored."""
    before = pyogrio.get_gdal_config_option(_DATE)
    pyogrio.set_gdal_config_options({_DATE: _EPOCH})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({_DATE: before})
