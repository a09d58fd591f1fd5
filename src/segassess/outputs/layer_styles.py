"""How layers of findings look in QGIS: a style in the GeoPackage itself, which QGIS applies when the layer is opened.

QGIS reads it from the table `layer_styles` (QGIS user manual, "Saving and loading styles"), whose row names the layer and holds a
QML document: colours by class, and readable names of the columns with their units.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import numpy as np
import pyogrio

from segassess.quality import CLASS_COLOURS, CLASS_NAMES, FN, FP, TP

TABLE = "layer_styles"
Colour: TypeAlias = tuple[int, int, int]

# Palette of Okabe and Ito, as the quality map's.
_GREEN, _ORANGE, _BLUE = (CLASS_COLOURS[code][:3] for code in (TP, FP, FN))
_YELLOW, _PURPLE, _GREY = (240, 228, 66), (204, 121, 167), (134, 142, 150)

# Names that people read, by column.
ALIASES: Mapping[str, str] = {
    "error": "rank of the error",
    "quality": "class (FP: mask too much, FN: mask too little)",
    "form": "form (area, or rim along an outline)",
    "object": "number of the object",
    "polygon": "rank of the polygon",
    "feature": "id in the judged layer",
    "verdict": "verdict",
    "missed": "rank of the missed object",
    "probability": "mean P(object), 0 to 1",
    "area_px": "area (pixels)",
    "area_m2": "area (m²)",
    "mean_error": "mean P(error), 0 to 1",
    "max_error": "largest P(error), 0 to 1",
    "expected_errors_px": "expected wrong pixels",
    "expected_tp_px": "expected true pixels",
    "expected_fp_px": "expected false pixels",
    "expected_fn_px": "expected missing pixels",
    "estimated_iou": "estimated IoU, 0 to 1",
    "estimated_precision": "estimated precision, 0 to 1",
    "fp_share": "share of FP pixels, 0 to 1",
    "shift_x_m": "offset to the east (m)",
    "shift_y_m": "offset to the north (m)",
    "shift_x_px": "offset to the right (pixels)",
    "shift_y_px": "offset downwards (pixels)",
    "shift_gain": "agreement gained by the offset",
    "did": "what the newer edition did",
    "p_right": "P(the newer edition is right), 0 to 1",
    "gain_px": "expected pixels won (negative: lost)",
}


@dataclass(frozen=True)
class LayerStyle:
    """Colours by the value of an expression of QGIS: label, colour and opacity of the filling in [0, 1] by value."""

    expression: str
    classes: Mapping[str, tuple[str, Colour, float]]


_VERDICTS = LayerStyle(
    '"verdict"',
    {
        "wrong": ("wrong", _ORANGE, 0.5),
        "partly wrong": ("partly wrong", _YELLOW, 0.4),
        "shifted": ("shifted", _PURPLE, 0.4),
        "missed": ("missed", _BLUE, 0.5),
        "right": ("right", _GREEN, 0.15),
        "not assessed": ("not assessed", _GREY, 0.15),
    },
)
# By name of the layer.
STYLES: Mapping[str, LayerStyle] = {
    "errors": LayerStyle(
        '"quality" || \' \' || "form"',
        {
            f"{CLASS_NAMES[code]} {form}": (f"{what}, {form}", colour, opacity)
            for form, opacity in (("area", 0.5), ("rim", 0.15))
            for code, colour, what in ((FP, _ORANGE, "mask too much (FP)"), (FN, _BLUE, "mask too little (FN)"))
        },
    ),
    "objects": _VERDICTS,
    "polygons": _VERDICTS,
    "aligned": _VERDICTS,
    "missed": LayerStyle("'missed'", {"missed": ("proposed outline", _BLUE, 0.3)}),
    "mended": LayerStyle(
        '"segassess_change"',
        {
            "added": ("added", _BLUE, 0.5),
            "moved": ("moved", _PURPLE, 0.4),
            "kept": ("as it was", _GREEN, 0.15),
        },
    ),
    "changes": LayerStyle(
        '"segassess_change"',
        {
            "dropped": ("dropped", _ORANGE, 0.5),
            "moved": ("moved, as it was", _PURPLE, 0.4),
            "added": ("added", _BLUE, 0.5),
        },
    ),
    "differences": LayerStyle(
        '"verdict"', {"better": ("probably better", _GREEN, 0.5), "worse": ("probably worse", _ORANGE, 0.5)}
    ),
}


def add_style(path: Path, layer: str, columns: list[str]) -> None:
    """Store the style of a layer in its GeoPackage; layers without one in `STYLES` stay as they are."""
    if layer not in STYLES:
        return
    row = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": layer,
        "f_geometry_column": "geom",
        "styleName": "segassess",
        "styleQML": qml(STYLES[layer], columns),
        "styleSLD": "",
        "useAsDefault": True,
        "description": "Colours by what segassess found.",
        "owner": "",
        "ui": "",
        # QGIS takes the latest of several; here there is one, and equal findings give equal files.
        "update_time": np.datetime64(0, "ms"),
    }
    values = [np.array([value], object if isinstance(value, str) else None) for value in row.values()]
    pyogrio.raw.write(
        path, geometry=None, geometry_type=None, field_data=values, fields=list(row), layer=TABLE, driver="GPKG", append=True
    )


def qml(style: LayerStyle, columns: list[str]) -> str:
    """The QML document of a style; the alias of a column has its place among `columns`."""
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology|Fields")
    renderer = ElementTree.SubElement(root, "renderer-v2", type="categorizedSymbol", attr=style.expression, symbollevels="0")
    categories, symbols = (ElementTree.SubElement(renderer, name) for name in ("categories", "symbols"))
    for index, (value, (label, colour, opacity)) in enumerate(style.classes.items()):
        what = {"value": value, "label": label, "symbol": str(index), "render": "true", "type": "string"}
        ElementTree.SubElement(categories, "category", what)
        symbol = ElementTree.SubElement(symbols, "symbol", type="fill", name=str(index), alpha="1", clip_to_extent="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        options = ElementTree.SubElement(layer, "Option", type="Map")
        rgb = ",".join(map(str, colour))
        settings = {
            "color": f"{rgb},{round(255 * opacity)}",
            "style": "solid",
            "outline_color": f"{rgb},255",
            "outline_style": "solid",
            "outline_width": "0.3",
            "outline_width_unit": "MM",
            "joinstyle": "miter",
        }
        for name, setting in settings.items():
            # Older versions read the second form.
            ElementTree.SubElement(options, "Option", type="QString", name=name, value=setting)
            ElementTree.SubElement(layer, "prop", k=name, v=setting)
    aliases = ElementTree.SubElement(root, "aliases")
    for index, name in enumerate(columns):
        if name in ALIASES:
            ElementTree.SubElement(aliases, "alias", index=str(index), field=name, name=ALIASES[name])
    return ElementTree.tostring(root, encoding="unicode")
