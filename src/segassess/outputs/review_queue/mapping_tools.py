"""Findings in the formats of the tools that mappers work with.

MapRoulette: line-by-line GeoJSON (https://learn.maproulette.org), each line a record separator (RFC 7464) and a FeatureCollection
of one task. MapSwipe: one FeatureCollection of (multi)polygons. JOSM: OSM XML with `fixme`. Osmose: its XML of issues
(https://github.com/osm-fr/osmose-backend). GeoJSON has no `crs` member, since it is WGS 84 (RFC 7946).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import shapely

from segassess.files import write_text
from segassess.findings.by_reference import SHIFTED
from segassess.findings.object_scores import MISSED, PARTLY_WRONG
from segassess.outputs.osm_xml import OsmElements, document
from segassess.outputs.review_queue.findings import INVENTED, Finding
from segassess.spreadsheets import harmless, read_rows, write_rows

# The key to what tools give back, and a format of its own.
TABLE = "findings.csv"
COLUMNS = ("id", "name", "source", "kind", "feature", "object", "p_error", "wrong_px", "area_m2", "lon", "lat", "accept")
_ASKED = {
    INVENTED: "Is there nothing on the image where this outline is?",
    MISSED: "Is there an object on the image that the map lacks?",
    SHIFTED: "Does this outline lie beside its object?",
    PARTLY_WRONG: "Does this outline cover too much, or too little?",
}
INSTRUCTIONS = """A {{kind}} object, found by comparing the map with an image. P(error) {{p_error}}, {{area_m2}} m2.

1. Look at the image. Has the outline been judged rightly? If not: false positive.
2. If so, mend the map: delete what is not there, move what lies beside its object, draw what is missing.
3. If it has been mended by somebody else: already fixed. If the image does not tell: too hard.
"""


def has_answers(folder: Path) -> bool:
    """Whether somebody has filled the column `accept` of the table there."""
    return (folder / TABLE).is_file() and any(row.get("accept") for _, row in read_rows(folder / TABLE, ()))


def write_table(folder: Path, findings: Sequence[Finding]) -> Path:
    """Write `findings.csv`, whose column `accept` (yes or no) reviewers may fill."""
    rows = []
    for finding in findings:
        lon, lat = finding.place
        numbers = {"p_error": finding.p_error, "wrong_px": finding.wrong_px, "area_m2": finding.area_m2}
        shown = {name: "" if math.isnan(value) else f"{value:.6g}" for name, value in numbers.items()}
        texts = {name: harmless(" ".join(vars(finding)[name].splitlines())) for name in ("name", "source")}
        kept: dict[str, Any] = {name: vars(finding)[name] for name in ("id", "kind", "feature", "object")}
        place = {"lon": f"{lon:.7f}", "lat": f"{lat:.7f}"} if finding.is_placed else {}
        rows.append({**kept, **texts, **shown, **place})
    write_rows(folder / TABLE, COLUMNS, rows)
    return folder / TABLE


def write_maproulette(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """Write `tasks.geojson`, a line per task, and `instructions.md`, for the challenge."""
    lines = [f"\x1e{json.dumps(_collection([finding]), ensure_ascii=False)}\n" for finding in findings]
    write_text(folder / "tasks.geojson", "".join(lines))
    write_text(folder / "instructions.md", INSTRUCTIONS)
    return [folder / "tasks.geojson", folder / "instructions.md"]


def write_mapswipe(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """Write `tasks.geojson`, one collection."""
    write_text(folder / "tasks.geojson", json.dumps(_collection(findings), ensure_ascii=False))
    return [folder / "tasks.geojson"]


def write_josm(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """Write `tasks.osm`, a way with `fixme` per outline; nothing in it is meant to be uploaded."""
    root = ElementTree.Element("osm", version="0.6", generator="segassess", upload="never")
    elements = OsmElements(root)
    for finding in findings:
        facts = {"segassess:kind": finding.kind, "segassess:p": f"{finding.p_error:.2f}", "segassess:id": finding.id}
        elements.polygon(finding.outline, {"fixme": _ASKED[finding.kind], **facts})
    write_text(folder / "tasks.osm", document(root))
    return [folder / "tasks.osm"]


def write_osmose(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """Write `tasks.xml`, an issue per finding, a class per kind."""
    # One date, so that equal findings are equal files.
    when = "1970-01-01T00:00:00Z"
    root = ElementTree.Element("analysers", timestamp=when)
    analyser = ElementTree.SubElement(root, "analyser", timestamp=when, version="segassess")
    for number, kind in enumerate(_ASKED, 1):
        about = {"id": str(number), "item": "0", "level": "2", "tag": "building,fix:imagery"}
        made = ElementTree.SubElement(analyser, "class", about)
        ElementTree.SubElement(made, "classtext", lang="en", title=f"{kind} object, by its image")
    for finding in findings:
        number = 1 + list(_ASKED).index(finding.kind)
        error = ElementTree.SubElement(analyser, "error", {"class": str(number), "subclass": str(int(finding.id[:7], 16))})
        lon, lat = finding.place
        ElementTree.SubElement(error, "location", lat=f"{lat:.7f}", lon=f"{lon:.7f}")
        ElementTree.SubElement(error, "text", lang="en", value=f"{_ASKED[finding.kind]} P(error) {finding.p_error:.2f}")
    write_text(folder / "tasks.xml", document(root))
    return [folder / "tasks.xml"]


def _collection(findings: Sequence[Finding]) -> dict[str, Any]:
    features = []
    for finding in findings:
        area = None if math.isnan(finding.area_m2) else round(finding.area_m2, 1)
        properties = {
            "id": finding.id,
            "kind": finding.kind,
            "class": finding.quality,
            "p_error": round(finding.p_error, 3),
            "area_m2": area,
            "image": finding.name,
            "mask": finding.source,
            "feature": finding.feature,
        }
        geometry = json.loads(shapely.to_geojson(finding.outline))
        features.append({"type": "Feature", "id": finding.id, "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


# How a tool's files are written, and how many tasks it takes.
WRITERS: Mapping[str, tuple[Callable[[Path, Sequence[Finding]], list[Path]], int]] = {
    "maproulette": (write_maproulette, 50_000),
    "mapswipe": (write_mapswipe, 100_000),
    "josm": (write_josm, 50_000),
    "osmose": (write_osmose, 50_000),
    "csv": (lambda folder, findings: [], 1_000_000),
}
