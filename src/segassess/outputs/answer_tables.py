"""Tables that reviewers give back: CSV, and layers as QGIS edits them."""

from pathlib import Path
from typing import Any

import pyogrio

from segassess.errors import InputError, RequestError
from segassess.spreadsheets import read_rows

_LAYERS = (".gpkg", ".geojson", ".fgb", ".shp")


def answer_rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Where each row stands, and its cells by column in lower case; a missing cell is "".

    Raises RequestError if the file does not exist or is no table, InputError if a layer cannot be read.
    """
    if path.suffix.lower() not in _LAYERS:
        return [(f"line {line}", row) for line, row in read_rows(path, ())]
    if not path.is_file():
        raise RequestError(f"{path} does not exist; give the path of a layer.")
    try:
        about, _, _, columns = pyogrio.raw.read(path, read_geometry=False)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a layer ({error}); save it as GeoPackage or CSV.") from error
    names = [str(name).lower() for name in about["fields"]]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(f"feature {number}", dict(zip(names, map(cell, row), strict=True))) for number, row in enumerate(rows, 1)]


def cell(value: Any) -> str:
    """A value as text: "" where there is none, and whole numbers without a point, though absent ones made them floats."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
