"""The files of a sample: what reviewers get, what they give back, and what they must not see.

`sample.csv` and `sample.gpkg` list pixels, objects or blocks and an empty column `answer`, of blocks `wrong` and `missed`;
`sample.html` shows each in its image and takes answers by keys. None of them says how a unit was judged, so that nobody follows
the mask. That stands in `sample.json`.
"""

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.crs import CRS

from segassess.errors import RequestError
from segassess.evaluation.sampled_accuracy.design import Stratum
from segassess.evaluation.sampled_accuracy.points import Point
from segassess.files import write_json, write_text
from segassess.findings.table import FindingsTable
from segassess.outputs.answer_tables import answer_rows
from segassess.outputs.layers import write_layer
from segassess.raster import Georeference, Rendering, open_image
from segassess.spreadsheets import harmless, write_rows

RECORD, TABLE, LAYER, PAGE = "sample.json", "sample.csv", "sample.gpkg", "sample.html"
PIXELS, OBJECTS, BLOCKS = UNITS = ("pixels", "objects", "blocks")
_PLACES = ("id", "name", "column", "row", "x", "y", "lon", "lat")
# Columns to be filled; of a block, how many of its `objects` are wrong, and how many it lacks.
ASKED: Mapping[str, tuple[str, ...]] = {PIXELS: ("answer",), OBJECTS: ("answer",), BLOCKS: ("wrong", "missed")}
# What reviewers may write; whether it says that the point lies on an object, None without an answer.
ANSWERS: Mapping[str, bool | None] = {
    **dict.fromkeys(("object", "1", "yes", "true"), True),
    **dict.fromkeys(("background", "0", "no", "false"), False),
    **dict.fromkeys(("", "unsure", "?"), None),
}
# Side in pixels at which surroundings are stored on the page, also where outlines are drawn in them.
_STORED, _STORED_DRAWN = 240, 480
# Of outlines, and of a block.
_LINE, _FRAME = (214, 0, 108), (0, 114, 178)
# On the page.
_HEADINGS = {
    PIXELS: (
        "Is the cross on the object?",
        "Judge the middle pixel by the image alone. What was said of it is not shown, on purpose.",
    ),
    OBJECTS: (
        "Is there one object, as outlined?",
        "Answer object if the outline and a single object share at least half of what both cover, else background. "
        "Whether the layer has it is not shown, on purpose.",
    ),
    BLOCKS: (
        "How many outlines are wrong, and how many objects have none?",
        "Count what has its middle in the blue frame. An outline is right if it and a single object share at least half of what "
        "both cover; an object without a right outline is missing.",
    ),
}


@dataclass(frozen=True)
class Sample:
    """A drawn sample: strata, points by id, and the ground area of a pixel (None if unknown).

    `judge` says by what the pixels were judged; None in samples of earlier versions.
    """

    strata: tuple[Stratum, ...]
    points: Mapping[str, tuple[int, bool, float]]  # stratum, whether it lies in the mask, P(error)
    pixel_area_m2: float | None
    judge: "SampledJudge | None" = None
    units: str = PIXELS
    objects: int = 0  # of the layers, in samples of objects and blocks
    blocks: Mapping[str, tuple[int, tuple[int, int, int, int]]] = field(default_factory=dict)  # number of objects, and box, by id


@dataclass(frozen=True)
class SampledJudge:
    """What gave P(error): digest of the assessor, decoding, whether it was fitted to the layer, and an earlier correction."""

    checkpoint: str
    decoding: str
    fitted: bool
    recalibration: Mapping[str, Any]  # as `Calibration.as_dict`

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "SampledJudge":
        """By the record of `predict.py`."""
        config, about = record.get("config", {}), record.get("assessor", {})
        fitted = config.get("fit", {}).get("name", "none") != "none"
        return cls(record.get("checkpoint_digest", ""), about.get("decoding", ""), fitted, record.get("recalibration", {}))


def write_sample(
    folder: Path,
    points: Sequence[Point],
    strata: Sequence[Stratum],
    pixel_area_m2: float | None,
    images: Mapping[str, str],
    rendering: Rendering,
    about: Mapping[str, Any],
    units: str = PIXELS,
) -> list[Path]:
    """Write all files into a folder and return their paths; `images` is by name, `units` one of `UNITS`.

    Raises RequestError if an image is missing or the folder cannot be written, InputError if an image cannot be read.
    """
    ids = [f"p{index:04d}" for index in range(1, len(points) + 1)]
    rows = [{**{name: vars(point)[name] for name in _PLACES[1:]}, "id": each} for each, point in zip(ids, points, strict=True)]
    for row in rows:
        row.update({name: "" for name in ("lon", "lat") if np.isnan(row[name])}, name=harmless(row["name"]))
    counted: tuple[str, ...] = ()
    if units == BLOCKS:
        counted = ("objects",)
        for row, point in zip(rows, points, strict=True):
            row["objects"] = len(point.outlines)
    write_rows(folder / TABLE, (*_PLACES, *counted, *ASKED[units]), rows)
    written = [folder / TABLE]
    if all(not np.isnan(point.lon) for point in points):
        _write_layer(folder / LAYER, ids, points, units)
        written.append(folder / LAYER)
    _write_page(folder / PAGE, ids, points, images, rendering, units)
    hidden = {
        each: {"stratum": point.stratum, "source": point.source, "error": point.error}
        | ({} if point.box is None else {"box": point.box, "objects": len(point.outlines)})
        for each, point in zip(ids, points, strict=True)
    }
    record = {
        **about,
        "units": units,
        "pixel_area_m2": pixel_area_m2,
        "strata": [asdict(stratum) for stratum in strata],
        "points": hidden,
    }
    write_json(folder / RECORD, record)
    return [*written, folder / PAGE, folder / RECORD]


def _write_layer(path: Path, ids: Sequence[str], points: Sequence[Point], units: str) -> None:
    columns = {"id": np.array(ids, object), "name": np.array([point.name for point in points], object)}
    if units == BLOCKS:
        columns["objects"] = np.array([len(point.outlines) for point in points])
    for name in ASKED[units]:
        empty = np.full(len(points), "" if units != BLOCKS else 0, object if units != BLOCKS else np.int32)
        columns[name] = np.ma.array(empty, mask=True)
    if units == PIXELS:
        places = list(shapely.points([(point.lon, point.lat) for point in points]))
    else:
        places = [point.ground for point in points]
    degrees = Georeference(CRS.from_epsg(4326), Affine.identity())
    kind = "Point" if units == PIXELS else "MultiPolygon"
    write_layer(path, FindingsTable(columns, np.array(places, object)), degrees, geometry_type=kind)


def _write_page(
    path: Path, ids: Sequence[str], points: Sequence[Point], images: Mapping[str, str], rendering: Rendering, units: str
) -> None:
    pictures: dict[str, str] = {}
    by_image: dict[str, list[tuple[str, Point]]] = {}
    for each, point in zip(ids, points, strict=True):
        by_image.setdefault(point.name, []).append((each, point))
    for name, here in by_image.items():
        if name not in images:
            raise RequestError(f"The image of {name} was not found; set image= to where the images are now.")
        with open_image(images[name], rendering) as file:
            for each, point in here:
                pictures[each] = _picture(file, point)
    rows = [
        {"id": each, "name": point.name, "picture": pictures[each], "objects": len(point.outlines)}
        for each, point in zip(ids, points, strict=True)
    ]
    template = (files("segassess.evaluation.sampled_accuracy") / "answers.html").read_text(encoding="utf-8")
    heading, task = _HEADINGS[units]
    # "</" would end the script.
    data = json.dumps(rows).replace("</", "<\\/")
    texts = {"TITLE": html.escape(path.parent.name), "HEADING": heading, "TASK": task, "UNITS": units, "ROWS": data}
    # Once, so that nothing in the data is taken for a place.
    write_text(path, re.sub("@@([A-Z]+)@@", lambda place: texts[place[1]], template))


def _picture(file: Any, point: Point) -> str:
    """The surroundings of a unit as a data URL, with its outlines; what lies beyond the image is grey."""
    side = point.side
    left, top, right, bottom = point.box or (point.column, point.row, point.column + 1, point.row + 1)
    if point.box is None and point.outlines:
        left, top, right, bottom = np.floor(shapely.bounds(point.outlines[0])).astype(int).tolist()
    top, left = (top + bottom - side) // 2, (left + right - side) // 2
    rows = slice(max(top, 0), min(top + side, file.grid.height))
    columns = slice(max(left, 0), min(left + side, file.grid.width))
    pixels, _ = file.read(rows, columns)
    canvas = np.full((side, side, 3), 128, np.uint8)
    shown = np.rint(pixels * 255).astype(np.uint8)
    canvas[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = shown
    stored = _STORED_DRAWN if point.outlines or point.box else _STORED
    picture = Image.fromarray(canvas).resize((stored, stored), Image.Resampling.BICUBIC)
    drawing = ImageDraw.Draw(picture)
    lines = [(ring, _LINE) for outline in point.outlines for ring in _rings(outline)]
    if point.box:
        lines += [(ring, _FRAME) for ring in _rings(shapely.box(*point.box))]
    for ring, colour in lines:
        drawing.line([tuple(place) for place in (ring - (left, top)) * (stored / side)], colour, 2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rings(outline: shapely.Geometry) -> list[NDArray[np.float64]]:
    return [shapely.get_coordinates(ring) for part in shapely.get_parts(outline) for ring in shapely.get_rings(part)]


def read_sample(folder: Path) -> Sample:
    """Read `sample.json`; RequestError if it is missing or of another kind."""
    path = folder / RECORD
    if not path.is_file():
        raise RequestError(f"{path} does not exist; give the folder that segassess sample wrote.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        strata = tuple(Stratum(**stratum) for stratum in record["strata"])
        points = {
            each: (point["stratum"], strata[point["stratum"]].inside, point["error"]) for each, point in record["points"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RequestError(f"{path} is not the record of a sample; give the folder that segassess sample wrote.") from error
    judge = record.get("judge")
    return Sample(
        strata,
        points,
        record["pixel_area_m2"],
        None if judge is None else SampledJudge(**judge),
        record.get("units", PIXELS),
        record.get("objects", 0),
        {each: (point["objects"], tuple(point["box"])) for each, point in record["points"].items() if "box" in point},
    )


# What to do if nobody has answered there.
GIVE_ANSWERS = "fill it in, or give the files with the answers as answers=FILE."


def own_or(folder: Path, answers: str | None) -> list[Path]:
    """The files `answers`, with commas between them, else those of the sample itself."""
    own = [path for path in (folder / TABLE, folder / LAYER) if path.is_file()]
    return [Path(each) for each in answers.split(",")] if answers else own


def read_answers(paths: Sequence[Path], known: Mapping[str, Any]) -> dict[str, bool | None]:
    """Answers by id from CSV files or layers of points; None where nobody was sure.

    Raises RequestError for an unknown id or answer, two answers that contradict each other, or a file that cannot be read.
    """
    answers: dict[str, bool | None] = {}
    for path in paths:
        for where, row in answer_rows(path):
            if not {"id", "answer"} <= set(row):
                raise RequestError(f"{path} has the columns {', '.join(row)}; it needs id, answer.")
            each, said = row["id"], row["answer"].strip().lower()
            if each not in known:
                raise RequestError(f"{path}, {where}: the sample has no point {each!r}; give the answers to this sample.")
            if said not in ANSWERS:
                raise RequestError(f"{path}, {where}: {said!r} is not an answer; write object, background or unsure.")
            answer = ANSWERS[said]
            if answer is not None and answers.get(each, answer) not in (answer, None):
                raise RequestError(f"{path}, {where}: {each} was answered otherwise before; keep one of the answers.")
            answers[each] = answers.get(each) if answer is None else answer
    return answers


def read_counts(paths: Sequence[Path], known: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Of each answered block by id, how many objects are wrong and how many it lacks; `known` says how many it has.

    Raises RequestError as `read_answers` does, and if more are wrong than there are.
    """
    found: dict[str, tuple[int, int]] = {}
    for path in paths:
        for where, row in answer_rows(path):
            if not {"id", "wrong", "missed"} <= set(row):
                raise RequestError(f"{path} has the columns {', '.join(row)}; it needs id, wrong, missed.")
            each, said = row["id"], (row["wrong"], row["missed"])
            if each not in known:
                raise RequestError(f"{path}, {where}: the sample has no block {each!r}; give the answers to this sample.")
            if not any(said):
                continue
            if not all(count.isdecimal() for count in said) or int(said[0]) > known[each]:
                raise RequestError(
                    f"{path}, {where}: {each} has {known[each]} objects; write how many are wrong, and how many are missing, "
                    f"not {said[0]!r} and {said[1]!r}."
                )
            counts = int(said[0]), int(said[1])
            if found.get(each, counts) != counts:
                raise RequestError(f"{path}, {where}: {each} was answered otherwise before; keep one of the answers.")
            found[each] = counts
    return found
