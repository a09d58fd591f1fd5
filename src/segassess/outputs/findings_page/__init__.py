"""A page to review findings one by one, worst first: errors, and wrong, shifted and missed objects. One file, no network.

Its verdicts go by the stable ids of `findings.csv` beside it, so that `segassess verdicts` reads what it exports.
`segassess.outputs.pages` joins it.
"""

import base64
import hashlib
import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import shapely
from PIL import Image

from segassess.errors import InputError
from segassess.files import write_text
from segassess.outputs.judged_folder import (
    JudgedFolder,
    images_of,
    judged_folders,
    of_one_source,
    read_record,
    rendering_of,
)
from segassess.outputs.pages import finite, joined, link_beside
from segassess.outputs.review_page import encoded, reduced
from segassess.outputs.review_queue.findings import Finding, make_findings
from segassess.outputs.review_queue.mapping_tools import write_table
from segassess.outputs.review_record import PAGE as REPORT
from segassess.outputs.review_record import REVIEW
from segassess.raster import ImageFile, Rendering, open_image

log = logging.getLogger(__name__)

PAGE = "findings.html"
# Findings of a page, unless told otherwise; the list shows as many without delay.
MOST, PICTURES = 20_000, 500
# Of findings, unless told otherwise: smaller ones and steps of pixels are noise to people.
MIN_AREA_M2, SIMPLIFY_PX = 5.0, 1.5
# Longest side of a crop and of an overview in pixels; pixels of the image around a finding; the most of it that is read.
CROP, OVERVIEW, MARGIN, _LARGEST = 240, 360, 24, 2048
# Masks that have an overview.
_OVERVIEWS = 100

# Of a finding in the page; the box is in WGS 84, the window in pixels.
COLUMNS = (
    "id", "mask", "kind", "quality", "feature", "object", "p_error", "wrong_px", "area_m2", "area_px",
    "left", "top", "right", "bottom", "west", "south", "east", "north", "lon", "lat", "picture",
)  # fmt: skip


class Crop(TypedDict):
    """The image around a finding, as a JPEG file in base64, and the outline as an SVG path in its pixels."""

    image: str
    width: int
    height: int
    outline: str


class Overview(TypedDict):
    """A reduced picture of a judged image, as a JPEG file in base64, and the size of the image in pixels."""

    image: str
    width: int
    height: int


def write_findings_page(
    folder: Path,
    predicted: Path,
    image: str | None = None,
    source: str | None = None,
    *,
    most: int | None = None,
    pictures: int = PICTURES,
    min_area_m2: float = MIN_AREA_M2,
    simplify_px: float = SIMPLIFY_PX,
) -> list[Path]:
    """Write `findings.html` and `findings.csv` from what `predict.py` left, of one source or all.

    The worst `most` (None: 20,000) findings are in it, the worst `pictures` of them with a crop of their image, if that is there
    and can be read; `image` is given as to `predict.py`, None takes the one in its record. Returns the paths. Raises RequestError
    if results are missing.
    """
    record = read_record(predicted)
    masks = judged_folders(predicted) if source is None else of_one_source(predicted, source)
    limits: dict[str, Any] = {"min_area_m2": min_area_m2, "simplify_px": simplify_px}
    findings = make_findings(masks, **limits, areas=True, need_place=False, most=most or MOST)
    crops = _crops(findings[:pictures], images_of(record, image), rendering_of(record))
    report = REPORT if (folder / REPORT).is_file() else None
    html = render_findings_page(findings, crops, _overviews(findings, masks), report)
    table = write_table(folder, findings)
    write_text(folder / PAGE, html)
    return [folder / PAGE, table]


def render_findings_page(
    findings: Sequence[Finding],
    crops: Mapping[str, Crop],
    overviews: Mapping[tuple[str, str], Overview],
    report: str | None = None,
) -> str:
    """The page as HTML; crops are by id of the finding, overviews by name and source of the mask.

    `report` is the name of a page of tiles beside this one.
    """
    masks = list(dict.fromkeys((finding.name, finding.source) for finding in findings))
    kept = [finding.id for finding in findings if finding.id in crops]
    number = {each: index for index, each in enumerate(kept)}
    place = {mask: index for index, mask in enumerate(masks)}
    rows = [_row(each, place[each.name, each.source], number.get(each.id)) for each in findings]
    content: dict[str, Any] = {
        "columns": COLUMNS,
        "masks": [{"name": name, "source": source} for name, source in masks],
        "findings": rows,
    }
    # Keeps the verdicts on different pages apart.
    content["id"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    content["pictures"] = [crops[each] for each in kept]
    content["overviews"] = [overviews.get(mask) for mask in masks]
    link = "" if report is None else link_beside(report, "Where to look first, tile by tile")
    return joined(__package__, "segassess findings", content, report=link)


def _row(finding: Finding, mask: int, picture: int | None) -> list[Any]:
    box: tuple[float | None, ...] = (None,) * 4
    place: tuple[float | None, ...] = (None,) * 2
    if finding.is_placed:
        box = tuple(round(value, 6) for value in shapely.bounds(finding.outline).tolist())
        place = tuple(round(value, 6) for value in finding.place)
    numbers = (
        round(finding.p_error, 3),
        round(finding.wrong_px, 1),
        round(finding.area_m2, 1),
        round(float(shapely.area(finding.outline_px))),
    )
    window = [round(value, 1) for value in shapely.bounds(finding.outline_px).tolist()]
    about = (finding.id, mask, finding.kind, finding.quality, finding.feature, finding.object)
    return [finite(value) for value in (*about, *numbers, *window, *box, *place, picture)]


def _crops(findings: Sequence[Finding], images: Mapping[str, str], rendering: Rendering) -> dict[str, Crop]:
    found: dict[str, Crop] = {}
    for name in dict.fromkeys(finding.name for finding in findings):
        if name not in images:
            log.warning("The image of %s was not found, so its findings have no pictures.", name)
            continue
        # From top to bottom, as files are stored.
        of_image = sorted(
            (each for each in findings if each.name == name), key=lambda each: float(shapely.bounds(each.outline_px)[1])
        )
        try:
            with open_image(images[name], rendering) as image:
                found.update((each.id, _crop(image, each.outline_px)) for each in of_image)
        except InputError as error:
            log.warning("Findings of %s have no pictures: %s", name, error)
    return found


def _crop(image: ImageFile, outline: shapely.Geometry) -> Crop:
    left, top, right, bottom = shapely.bounds(outline).tolist()
    half = min(max(right - left, bottom - top) / 2 + MARGIN, _LARGEST / 2)
    spans = []
    for low, high, length in ((top, bottom, image.grid.height), (left, right, image.grid.width)):
        middle = (low + high) / 2
        spans.append(slice(max(0, math.floor(middle - half)), min(length, math.ceil(middle + half))))
    rows, columns = spans
    pixels, _ = image.read(rows, columns)
    picture = reduced(Image.fromarray(np.rint(pixels * 255).astype(np.uint8)), CROP, Image.Resampling.BOX)
    scale = picture.width / (columns.stop - columns.start)
    rings = [
        ring.coords
        for part in shapely.get_parts(np.array([shapely.simplify(outline, 1 / scale)], object))
        for ring in (part.exterior, *part.interiors)
    ]
    path = "".join(
        "M" + "L".join(f"{(x - columns.start) * scale:.1f} {(y - rows.start) * scale:.1f}" for x, y in ring[:-1]) + "Z"
        for ring in rings
    )
    return Crop(image=encoded(picture, "JPEG"), width=picture.width, height=picture.height, outline=path)


def _overviews(findings: Sequence[Finding], masks: Sequence[JudgedFolder]) -> dict[tuple[str, str], Overview]:
    """Of the masks with the worst findings, put together from the small pictures of their review tiles."""
    folders = {(each.name, each.source): each.folder for each in masks}
    wanted = list(dict.fromkeys((finding.name, finding.source) for finding in findings))[:_OVERVIEWS]
    return {key: made for key in wanted if (made := _overview(folders[key] / REVIEW)) is not None}


def _overview(path: Path) -> Overview | None:
    if not path.is_file():
        return None
    review = json.loads(path.read_text(encoding="utf-8"))
    width, height = (max(tile[side] for tile in review["tiles"]) for side in ("right", "bottom"))
    scale = min(1.0, OVERVIEW / max(width, height))
    whole = Image.new("RGB", (max(1, round(width * scale)), max(1, round(height * scale))), (222, 226, 230))
    for tile in review["tiles"]:
        if tile["tile"] in review["pictures"]:
            thumb = Image.open(io.BytesIO(base64.b64decode(review["pictures"][tile["tile"]]["thumb"])))
            left, top, right, bottom = (round(tile[side] * scale) for side in ("left", "top", "right", "bottom"))
            whole.paste(thumb.resize((max(1, right - left), max(1, bottom - top))), (left, top))
    return Overview(image=encoded(whole, "JPEG"), width=width, height=height)
