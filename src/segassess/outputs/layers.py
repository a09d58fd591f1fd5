"""Write findings as layers of polygons: GeoPackage for a GIS, GeoJSON in longitude and latitude on request."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError

from segassess.files import atomic_path, fault_of_disk
from segassess.findings.array_store import Kept
from segassess.findings.table import FindingsTable, crs_text, placed
from segassess.outputs.layer_styles import add_style
from segassess.raster import Georeference

# A GeoPackage stores when it was written; with one date, equal findings give equal files.
_DATE, _EPOCH = "OGR_CURRENT_DATE", "1970-01-01T00:00:00.000Z"
# Later versions make older GDAL warn.
GPKG_VERSION = {"VERSION": "1.2"}
# Bytes of a GeoPackage without features and of its journal.
_SMALLEST = 2**20
# Two columns that a GeoPackage has itself, and the prefix for columns of the same name.
_RESERVED, _PREFIX = ("fid", "geom"), "layer_"


def write_layer(
    path: str | Path,
    table: FindingsTable,
    georeference: Georeference | None,
    simplify_px: float = 0.0,
    geometry_type: str = "MultiPolygon",
) -> None:
    """Write findings as a layer that is named after the file; `geometry_type` is a name of GDAL.

    `path` ends in .gpkg (CRS of the image) or .geojson (WGS 84 if the image has a CRS). Without a georeference, coordinates are
    pixels, x to the right and y downwards from the upper left corner. Columns may be masked arrays. Outlines may leave the edges
    of pixels by `simplify_px`. Raises RequestError if the folder cannot be written to, OutputError if the disk is full.
    """
    path, crs = Path(path), crs_text(georeference)
    geojson = path.suffix == ".geojson"
    options: dict[str, Any] = {"RFC7946": "YES"} if geojson and crs else {}
    with warnings.catch_warnings(), _dated_epoch(), atomic_path(path) as beside:
        # Images may have no CRS.
        warnings.filterwarnings("ignore", "'crs' was not provided")
        # GDAL makes the file itself.
        beside.unlink()
        for part in table.parts() if len(table) else [slice(0, 0)]:
            outlines = table.outlines(part)
            if simplify_px and len(outlines):
                outlines = shapely.simplify(outlines, simplify_px, preserve_topology=True)
            columns = {name: values[part] for name, values in table.columns.items()}
            try:
                pyogrio.raw.write(
                    beside,
                    geometry=shapely.to_wkb(placed(outlines, georeference)),
                    field_data=[np.ma.getdata(values) for values in columns.values()],
                    field_mask=[np.ma.getmask(values) if np.ma.is_masked(values) else None for values in columns.values()],
                    fields=list(columns),
                    layer=path.stem,
                    driver="GeoJSON" if geojson else "GPKG",
                    geometry_type=geometry_type,
                    promote_to_multi=geometry_type.startswith("Multi"),
                    crs=crs,
                    layer_options=options,
                    dataset_options={} if geojson else GPKG_VERSION,
                    append=part.start > 0,
                )
            except (DataSourceError, DataLayerError, FeatureError, GeometryError) as error:
                needed = _SMALLEST + len(outlines) * 1024
                raise fault_of_disk(beside.parent, needed, f"GDAL could not write it: {error}") from error
        if not geojson:
            add_style(beside, path.stem, list(table.columns))


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
