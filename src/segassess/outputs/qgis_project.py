"""A project of QGIS beside the results: image, maps and layers of findings, in an order that can be worked with.

A `.qgs` is an XML document. It repeats the styles that layers have of their own, because QGIS takes none from elsewhere for a
layer of a project. Paths are relative to the project, so that the folder can be moved with its image.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pyogrio

from segassess.files import write_text
from segassess.outputs.judged_folder import JudgedFolder
from segassess.outputs.layer_styles import STYLES, qml
from segassess.outputs.osm_xml import document
from segassess.raster import is_remote
from segassess.raster.opening import opened
from segassess.raster.urls import is_url, virtual_path

PROJECT = "project.qgs"
# Of a judged mask, from top to bottom.
VECTORS = ("errors", "missed", "polygons", "objects", "aligned")
RASTERS = ("quality", "error", "refined")
# All else waits to be switched on.
SHOWN = ("errors", "quality")


def write_project(path: Path, masks: Sequence[JudgedFolder], images: Mapping[str, str]) -> Path:
    """Write a project with a group for each mask and the images (path by name) below; returns its path.

    Images and layers that are not there are left out. Raises RequestError if the maps of a mask are missing.
    """
    root = ElementTree.Element("qgis", version="3.22.0", projectname="segassess")
    ElementTree.SubElement(root, "title").text = "segassess"
    project_crs = ElementTree.SubElement(root, "projectCrs")
    tree = ElementTree.SubElement(root, "layer-tree-group")
    layers = ElementTree.SubElement(root, "projectlayers")
    grids = [_grid(judged) for judged in masks]
    _add_crs(project_crs, grids[0])
    for number, (judged, grid) in enumerate(zip(masks, grids, strict=True)):
        # Groups of a long list would hide each other.
        shown = number == 0
        state = "Qt::Checked" if shown else "Qt::Unchecked"
        group = ElementTree.SubElement(tree, "layer-tree-group", name=judged.title, checked=state, expanded=str(int(shown)))
        files = [judged.folder / f"{name}.gpkg" for name in VECTORS] + [judged.folder / f"{name}.tif" for name in RASTERS]
        for file in files:
            if file.is_file():
                layer = _add_layer(path.parent, group, layers, str(file), file.stem, grid)
                for part in _style(file):
                    layer.append(part)
    for judged, grid in {judged.name: (judged, grid) for judged, grid in zip(masks, grids, strict=True)}.values():
        if judged.name in images:
            _add_layer(path.parent, tree, layers, images[judged.name], f"image {judged.name}", grid)
    # Without it QGIS passes over the CRS of the project.
    known = ElementTree.SubElement(ElementTree.SubElement(root, "properties"), "SpatialRefSys")
    ElementTree.SubElement(known, "ProjectionsEnabled", type="int").text = str(int(bool(grids[0].crs)))
    settings = ElementTree.SubElement(root, "ProjectViewSettings")
    left, bottom, right, top = map(str, grids[0].bounds)
    ElementTree.SubElement(settings, "DefaultViewExtent", xmin=left, ymin=bottom, xmax=right, ymax=top)
    write_text(path, document(root))
    return path


def _add_layer(
    folder: Path, group: ElementTree.Element, layers: ElementTree.Element, path: str, name: str, grid: "_Place"
) -> ElementTree.Element:
    """A layer in the tree and in the list; its element in the list."""
    path = virtual_path(path) if is_url(path) else path
    # QGIS takes no id of ten characters or less.
    is_vector, number = path.endswith(".gpkg"), f"segassess_layer_{len(layers)}"
    source = path if is_remote(path) else Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
    if not is_remote(path):
        source = f"./{source}" + (f"|layername={name}" if is_vector else "")
    provider = "ogr" if is_vector else "gdal"
    shown = "Qt::Checked" if name in SHOWN or name.startswith("image ") else "Qt::Unchecked"
    about = {"id": number, "name": name, "source": source, "providerKey": provider, "checked": shown, "expanded": "0"}
    ElementTree.SubElement(group, "layer-tree-layer", about)
    kind = {"type": "vector", "geometry": "Polygon", "wkbType": "MultiPolygon"} if is_vector else {"type": "raster"}
    layer = ElementTree.SubElement(layers, "maplayer", kind)
    for tag, text in {"id": number, "datasource": source, "layername": name, "provider": provider}.items():
        ElementTree.SubElement(layer, tag).text = text
    _add_crs(ElementTree.SubElement(layer, "srs"), grid)
    return layer


def _style(file: Path) -> list[ElementTree.Element]:
    """The parts of the style that a layer has outside of projects."""
    if file.suffix == ".gpkg":
        columns = [str(name) for name in pyogrio.read_info(file, layer=file.stem)["fields"]]
        return list(ElementTree.fromstring(qml(STYLES[file.stem], columns)))
    beside = file.with_suffix(".qml")
    return list(ElementTree.parse(beside).getroot()) if beside.is_file() else []


@dataclass(frozen=True)
class _Place:
    """The CRS of a mask as WKT, "" if it has none, and left, bottom, right and top in it."""

    crs: str
    bounds: tuple[float, float, float, float]


def _grid(judged: JudgedFolder) -> _Place:
    with opened(judged.require("quality.tif")) as quality:
        bounds = tuple(quality.bounds)
        return _Place("" if quality.crs is None else quality.crs.to_wkt(), bounds)


def _add_crs(parent: ElementTree.Element, place: _Place) -> None:
    if place.crs:
        ElementTree.SubElement(ElementTree.SubElement(parent, "spatialrefsys"), "wkt").text = place.crs
