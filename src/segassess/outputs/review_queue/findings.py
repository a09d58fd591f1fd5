"""The findings of judged masks as tasks for mappers: an invented, missed, shifted or partly wrong object each, worst first.

Of a layer of polygons these are its polygons, of a raster mask its objects, and of both the missed objects; on request also areas
of errors that belong to none of these. Places are WGS 84.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import shapely

from segassess.errors import RequestError
from segassess.findings.by_reference import SHIFTED
from segassess.findings.object_scores import MISSED, PARTLY_WRONG, RIGHT, WRONG
from segassess.outputs.judged_folder import JudgedFolder
from segassess.outputs.review_queue.layer_rows import LayerRows, read_outlines, read_rows
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
    right: bool = False,
    most: int | None = None,
) -> list[Finding]:
    """The findings of at least so many square metres in judged masks, most expected wrong pixels first, `most` of them at most.

    `areas` adds areas of errors that are part of no other finding, `right` objects that are called right. Outlines may leave the
    edges of pixels by `simplify_px`. Raises RequestError if results are missing, or if an image has no CRS and findings
    `need_place`.
    """
    worst = _Worst(most)
    for judged in masks:
        _OfMask(judged, simplify_px, need_place).add_to(worst, min_area_m2, areas, right)
    return worst.findings


class _Worst:
    """Findings so far, worst first, `most` of them at most; of two missed objects at one place, which are one task, the worse."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._found: list[Finding] = []

    def add(self, found: list[Finding]) -> None:
        """Take more findings."""
        self._found += found
        if self._most is not None:  # a city, and a long list of scenes, have more than memory holds
            self._found = self.findings

    @property
    def findings(self) -> list[Finding]:
        """The worst ones."""
        once: dict[str, Finding] = {}
        for finding in sorted(self._found, key=lambda finding: (-finding.wrong_px, finding.id)):
            once.setdefault(finding.id, finding)
        return list(once.values())[: self._most]

    @property
    def least(self) -> float:
        """A finding with fewer wrong pixels is none of the worst."""
        return self._found[-1].wrong_px if self._most is not None and len(self._found) == self._most else -math.inf


class _OfMask:
    """The findings of one judged mask."""

    def __init__(self, judged: JudgedFolder, simplify_px: float, need_place: bool) -> None:
        self._judged, self._simplify_px = judged, simplify_px
        with opened(judged.require("quality.tif")) as quality:
            self._georeference = georeference = Grid.of(quality).georeference
        self._crs = None if georeference is None else georeference.crs
        if georeference is not None and self._crs is not None:
            corner = np.array([[georeference.transform.c, georeference.transform.f]])
            if georeference.degrees(corner) is None:  # such as a local one
                self._crs = None
        if self._crs is None and need_place:
            raise RequestError(
                f"The image of {judged.title} has no CRS with a place on the earth, so its findings have none; see them in QGIS."
            )

    def add_to(self, worst: _Worst, min_area_m2: float, areas: bool, right: bool) -> None:
        """Add the findings that are large and bad enough."""
        of_kinds = _one_of("verdict", [*KINDS, *([RIGHT] if right else [])])
        objects = read_rows(self._judged, "objects", "object", "expected_errors_px", of_kinds)
        of_missed = objects.verdict == MISSED
        missed, others = objects[of_missed], objects[~of_missed]
        if (self._judged.folder / "missed.gpkg").is_file():
            missed = replace(missed, other_outlines=read_outlines(self._judged, "missed", "object"))
        if (self._judged.folder / "polygons.gpkg").is_file():
            others = read_rows(self._judged, "polygons", "feature", "expected_fp_px", of_kinds)
        self._add(worst, missed, min_area_m2)
        self._add(worst, others, min_area_m2)
        if areas:
            bad = f'"form" = \'area\' AND "expected_errors_px" >= {max(worst.least, 0)!r}'
            errors = read_rows(self._judged, "errors", "error", "expected_errors_px", bad, verdict="quality")
            self._add(worst, _in_none_of(errors, missed, others), min_area_m2)

    def _add(self, worst: _Worst, rows: LayerRows, min_area_m2: float) -> None:
        rows = rows[~(rows.area_m2 < min_area_m2)]
        for block in rows[np.argsort(-rows.wrong_px, kind="stable")].blocks():
            if block.wrong_px[0] < worst.least:
                break
            worst.add(self._findings(block))

    def _findings(self, rows: LayerRows) -> list[Finding]:
        georeference, crs = self._georeference, self._crs
        outlines = rows.outlines()
        step = 1.0 if georeference is None else abs(georeference.transform.determinant) ** 0.5
        if self._simplify_px and len(outlines):
            outlines = shapely.simplify(outlines, self._simplify_px * step, preserve_topology=True)
        in_pixels = outlines
        if georeference is not None:
            to_pixels = ~georeference.transform
            in_pixels = shapely.transform(outlines, lambda points: apply_to_all(to_pixels, points))
        if crs is None:
            outlines = in_pixels
        else:
            outlines = shapely.transform(outlines, lambda points: transformed(points, crs, "EPSG:4326"))
            outlines = shapely.orient_polygons(shapely.make_valid(shapely.set_precision(outlines, _DIGITS)))
        columns = (rows.id, rows.verdict, rows.p_error, rows.wrong_px, rows.area_m2)
        values = zip(*(column.tolist() for column in columns), outlines, in_pixels, strict=True)
        return [
            Finding(
                id=_id(self._judged, rows.of, number, verdict, outline),
                name=self._judged.name,
                source=self._judged.source,
                kind=AREAS[verdict] if rows.of == "error" else KINDS.get(verdict, verdict),
                feature=number if rows.of == "feature" else None,
                object=number if rows.of == "object" else None,
                p_error=p_error,
                wrong_px=wrong_px,
                area_m2=area_m2,
                outline=outline,
                outline_px=outline_px,
                is_placed=crs is not None,
            )
            for number, verdict, p_error, wrong_px, area_m2, outline, outline_px in values
        ]


def _in_none_of(errors: LayerRows, *findings: LayerRows) -> LayerRows:
    """Areas of errors that lie in no wrong or missed object."""
    points = np.concatenate([np.zeros(0, object), *(shapely.point_on_surface(block.outlines()) for block in errors.blocks())])
    tree, free = shapely.STRtree(points), np.ones(len(points), bool)
    for verdict, code in ((WRONG, FP), (MISSED, FN)):
        of_code = errors.verdict == CLASS_NAMES[code]
        for rows in findings if len(errors) else ():
            for block in rows[rows.verdict == verdict].blocks():
                _, inside = tree.query(block.outlines(), predicate="contains")
                free[inside[of_code[inside]]] = False
    return errors[free]


def _one_of(column: str, texts: Iterable[str]) -> str:
    """A condition in SQL."""
    quoted = ", ".join(f"'{text}'" for text in texts)
    return f'"{column}" IN ({quoted})'


def _id(judged: JudgedFolder, of: str, number: int, verdict: str, outline: shapely.Geometry) -> str:
    """A feature keeps its id in the layer; what has none goes by its place, to about 10 m, areas 1 m."""
    if of == "feature":
        what = f"feature {number}"
    else:
        # Areas lie closer to each other than objects.
        centre, digits = shapely.centroid(outline), 5 if of == "error" else 4
        size = round(np.log2(max(float(shapely.area(outline)), 1e-12)))
        what = f"{verdict} {centre.x:.{digits}f} {centre.y:.{digits}f} {size}"
    return hashlib.sha256(f"{judged.name}\n{judged.source}\n{what}".encode()).hexdigest()[:16]
