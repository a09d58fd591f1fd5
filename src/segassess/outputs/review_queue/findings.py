"""The findings of judged masks as tasks for mappers: an invented, missed, shifted or partly wrong object each, worst first.

Of a layer of polygons these are its polygons, of a raster mask its objects, and of both the missed objects; on request also areas
of errors that belong to none of these. Places are WGS 84.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from segassess.errors import RequestError
from segassess.findings.by_reference import SHIFTED
from segassess.findings.object_scores import MISSED, PARTLY_WRONG, WRONG
from segassess.outputs.judged_folder import JudgedFolder
from segassess.quality import CLASS_NAMES, FN, FP
from segassess.raster import Grid
from segassess.raster.grid import apply_to_all, transformed
from segassess.raster.opening import opened

INVENTED = "invented"
# What a verdict means to a mapper; what is right is no task.
KINDS = {WRONG: INVENTED, PARTLY_WRONG: PARTLY_WRONG, SHIFTED: SHIFTED, MISSED: MISSED}
# An area of errors of each class, where no other finding has it.
AREAS = {CLASS_NAMES[FP]: "area too much", CLASS_NAMES[FN]: "area too little"}
# Decimals of degrees, a centimetre.
_DIGITS = 1e-7


@dataclass(frozen=True)
class Finding:
    """An object to look at: `feature` is its id in the judged layer, `object` the number of a missed or raster object, else None.

    `id` is the same whenever the same is found again. `p_error` lies in [0, 1], `wrong_px` is the expected number of wrong
    pixels, `area_m2` may be NaN. The outline is a valid (multi)polygon in WGS 84, outer rings counter-clockwise; where
    `is_placed` is false, because the image has no CRS, in pixels. `outline_px` is in pixels of the image, y downwards.
    """

    id: str
    name: str
    source: str
    kind: str
    feature: int | None
    object: int | None
    p_error: float
    wrong_px: float
    area_m2: float
    outline: shapely.Geometry
    outline_px: shapely.Geometry
    is_placed: bool = True

    @property
    def quality(self) -> str:
        """FN where the mask has too little, else FP."""
        return CLASS_NAMES[FN if self.kind in (MISSED, AREAS[CLASS_NAMES[FN]]) else FP]

    @property
    def place(self) -> tuple[float, float]:
        """Longitude and latitude of a point in it; column and row where it is not placed."""
        point = shapely.point_on_surface(self.outline)
        return float(point.x), float(point.y)


def make_findings(
    masks: Iterable[JudgedFolder],
    *,
    min_area_m2: float = 0.0,
    simplify_px: float = 0.0,
    areas: bool = False,
    need_place: bool = True,
    most: int | None = None,
) -> list[Finding]:
    """The findings of at least so many square metres in judged masks, most expected wrong pixels first, `most` of them at most.

    `areas` adds areas of errors that are part of no other finding. Outlines may leave the edges of pixels by `simplify_px`.
    Raises RequestError if results are missing, or if an image has no CRS and findings `need_place`.
    """
    found: list[Finding] = []
    for judged in masks:
        found += _of_mask(judged, min_area_m2, simplify_px, areas, need_place)
        if most is not None and len(found) > 2 * most:  # a long list of scenes has more than memory holds
            found = _worst_once(found)[:most]
    return _worst_once(found)[:most]


def _worst_once(found: list[Finding]) -> list[Finding]:
    """Worst first; of two missed objects at one place, which are one task, the worse."""
    found.sort(key=lambda finding: (-finding.wrong_px, finding.id))
    once: dict[str, Finding] = {}
    for finding in found:
        once.setdefault(finding.id, finding)
    return list(once.values())


def _of_mask(judged: JudgedFolder, min_area_m2: float, simplify_px: float, areas: bool, need_place: bool) -> list[Finding]:
    with opened(judged.require("quality.tif")) as quality:
        grid = Grid.of(quality)
    georeference = grid.georeference
    crs = None if georeference is None else georeference.crs
    if georeference is not None and crs is not None:
        corner = np.array([[georeference.transform.c, georeference.transform.f]])
        crs = None if georeference.degrees(corner) is None else crs  # such as a local one
    if crs is None and need_place:
        raise RequestError(
            f"The image of {judged.title} has no CRS with a place on the earth, so its findings have none; see them in QGIS."
        )
    objects = _read(judged, "objects")
    missed = objects["verdict"] == MISSED
    rows = _rows(objects, missed, "object", "expected_errors_px")
    if (judged.folder / "missed.gpkg").is_file():
        outlined = _read(judged, "missed")
        proposed = dict(zip(outlined["object"].tolist(), outlined["geometry"], strict=True))
        rows = [{**row, "geometry": proposed.get(row["id"], row["geometry"])} for row in rows]
    if (judged.folder / "polygons.gpkg").is_file():
        polygons = _read(judged, "polygons")
        rows += _rows(polygons, np.isin(polygons["verdict"], list(KINDS)), "feature", "expected_fp_px")
    else:
        rows += _rows(objects, ~missed & np.isin(objects["verdict"], list(KINDS)), "object", "expected_errors_px")
    if areas:
        rows += _areas(judged, rows)
    rows = [row for row in rows if not row["area_m2"] < min_area_m2]
    step = 1.0 if georeference is None else abs(georeference.transform.determinant) ** 0.5
    outlines = np.array([row["geometry"] for row in rows], object)
    if simplify_px and len(outlines):
        outlines = shapely.simplify(outlines, simplify_px * step, preserve_topology=True)
    in_pixels = outlines
    if georeference is not None:
        to_pixels = ~georeference.transform
        in_pixels = shapely.transform(outlines, lambda points: apply_to_all(to_pixels, points))
    if crs is None:
        outlines = in_pixels
    else:
        outlines = shapely.transform(outlines, lambda points: transformed(points, crs, "EPSG:4326"))
        outlines = shapely.orient_polygons(shapely.make_valid(shapely.set_precision(outlines, _DIGITS)))
    findings = []
    for row, outline, outline_px in zip(rows, outlines, in_pixels, strict=True):
        of_layer = row["of"] == "feature"
        findings.append(
            Finding(
                id=_id(judged, row, outline),
                name=judged.name,
                source=judged.source,
                kind=AREAS[row["verdict"]] if row["of"] == "error" else KINDS[row["verdict"]],
                feature=row["id"] if of_layer else None,
                object=row["id"] if row["of"] == "object" else None,
                p_error=row["p_error"],
                wrong_px=row["wrong_px"],
                area_m2=row["area_m2"],
                outline=outline,
                outline_px=outline_px,
                is_placed=crs is not None,
            )
        )
    return findings


def _areas(judged: JudgedFolder, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Areas of errors that lie in no wrong or missed object of `rows`."""
    errors = _read(judged, "errors")
    errors["verdict"] = errors["quality"]
    chosen = errors["form"] == "area"
    points = shapely.point_on_surface(errors["geometry"])
    for verdict, code in ((WRONG, FP), (MISSED, FN)):
        whole = shapely.STRtree([row["geometry"] for row in rows if row["verdict"] == verdict])
        within, _ = whole.query(points, predicate="within")
        chosen[within] &= errors["quality"][within] != CLASS_NAMES[code]
    return _rows(errors, chosen, "error", "expected_errors_px")


def _id(judged: JudgedFolder, row: dict[str, Any], outline: shapely.Geometry) -> str:
    """A feature keeps its id in the layer; what has none goes by its place, to about 10 m, areas 1 m."""
    if row["of"] == "feature":
        what = f"feature {row['id']}"
    else:
        # Areas lie closer to each other than objects.
        centre, digits = shapely.centroid(outline), 5 if row["of"] == "error" else 4
        size = round(np.log2(max(float(shapely.area(outline)), 1e-12)))
        what = f"{row['verdict']} {centre.x:.{digits}f} {centre.y:.{digits}f} {size}"
    return hashlib.sha256(f"{judged.name}\n{judged.source}\n{what}".encode()).hexdigest()[:16]


def _read(judged: JudgedFolder, name: str) -> dict[str, NDArray[Any]]:
    about, _, stored, values = pyogrio.raw.read(judged.require(f"{name}.gpkg"), layer=name)
    return {**dict(zip(about["fields"], values, strict=True)), "geometry": shapely.from_wkb(stored)}


def _rows(table: dict[str, NDArray[Any]], chosen: NDArray[np.bool_], of: str, wrong: str) -> list[dict[str, Any]]:
    names = {"id": of, "verdict": "verdict", "p_error": "mean_error", "wrong_px": wrong, "area_m2": "area_m2"}
    columns = [table[column][chosen].tolist() for column in names.values()]
    outlines = table["geometry"][chosen]
    return [
        {**dict(zip(names, row, strict=True)), "of": of, "geometry": outline}
        for row, outline in zip(zip(*columns, strict=True), outlines, strict=True)
    ]
