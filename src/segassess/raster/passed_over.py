"""Sidecars and outputs of earlier runs, which a search for images and masks skips."""

import re
import warnings
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from segassess.raster.library_errors import LIBRARY_ERRORS

# Outputs of a run; the tag tells them from a user's files of the same names.
_MAPS = ("quality.tif", "error.tif", "refined.tif")
_BESIDE_MAPS = re.compile(r"(panel\.png|(errors|objects|polygons|missed)\.(gpkg|geojson|fgb))")
_TAG = "SEGASSESS_VERSION"
_HEAD = 2**20  # bytes that reveal the kind of a JSON
_GEOMETRY = re.compile(rb'"(FeatureCollection|GeometryCollection|Topology|(Multi)?Polygon|esriGeometryPolygon)"')


def passed_over(path: Path) -> bool:
    """Whether a file is a sidecar or an output of an earlier run."""
    if path.suffix.lower() == ".json":
        return not _is_layer(path)
    if path.name in _MAPS:
        return _is_ours(path)
    return _BESIDE_MAPS.fullmatch(path.name) is not None and any(_is_ours(path.with_name(name)) for name in _MAPS)


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as dataset:
                return _TAG in dataset.tags()
        except LIBRARY_ERRORS:
            return False  # who opens it says what is wrong with it


def _is_layer(path: Path) -> bool:
    """Whether a JSON holds polygons; a STAC item's footprint is not a mask."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return True  # who opens it says what is wrong with it
    return _GEOMETRY.search(head) is not None and b'"stac_version"' not in head
