"""The files of a sample: what reviewers get, what they give back, and what they must not see.

`sample.csv` and `sample.gpkg` list the points and an empty column `answer`; `sample.html` shows each in its image and takes
answers by a key. None of them says how a point was judged, so that nobody follows the mask. That stands in `sample.json`.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from PIL import Image
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
COLUMNS = ("id", "name", "column", "row", "x", "y", "lon", "lat", "answer")
# What reviewers may write; whether it says that the point lies on an object, None without an answer.
ANSWERS: Mapping[str, bool | None] = {
    **dict.fromkeys(("object", "1", "yes", "true"), True),
    **dict.fromkeys(("background", "0", "no", "false"), False),
    **dict.fromkeys(("", "unsure", "?"), None),
}
# Pixels around a point on the page, and the side in pixels at which they are stored.
_AROUND, _STORED = 64, 240


@dataclass(frozen=True)
class Sample:
    """A drawn sample: strata, points by id, and the ground area of a pixel (None if unknown).

    `judge` says by what the pixels were judged; None in samples of earlier versions.
    """

    strata: tuple[Stratum, ...]
    points: Mapping[str, tuple[int, bool, float]]  # stratum, whether it lies in the mask, P(error)
    pixel_area_m2: float | None
    judge: "SampledJudge | None" = None


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
) -> list[Path]:
    """Write all files into a folder and return their paths; `images` is by name.

    Raises RequestError if an image is missing or the folder cannot be written, InputError if an image cannot be read.
    """
    ids = [f"p{index:04d}" for index in range(1, len(points) + 1)]
    rows = [{**{name: vars(point)[name] for name in COLUMNS[1:-1]}, "id": each} for each, point in zip(ids, points, strict=True)]
    for row in rows:
        row.update({name: "" for name in ("lon", "lat") if np.isnan(row[name])}, name=harmless(row["name"]))
    write_rows(folder / TABLE, COLUMNS, rows)
    written = [folder / TABLE]
    if all(not np.isnan(point.lon) for point in points):
        _write_layer(folder / LAYER, ids, points)
        written.append(folder / LAYER)
    _write_page(folder / PAGE, ids, points, images, rendering)
    hidden = {
        each: {"stratum": point.stratum, "source": point.source, "error": point.error}
        for each, point in zip(ids, points, strict=True)
    }
    record = {**about, "pixel_area_m2": pixel_area_m2, "strata": [asdict(stratum) for stratum in strata], "points": hidden}
    write_json(folder / RECORD, record)
    return [*written, folder / PAGE, folder / RECORD]


def _write_layer(path: Path, ids: Sequence[str], points: Sequence[Point]) -> None:
    columns = {
        "id": np.array(ids, object),
        "name": np.array([point.name for point in points], object),
        "answer": np.ma.array(np.full(len(points), ""), object, mask=True),
    }
    places = np.array(shapely.points([(point.lon, point.lat) for point in points]), object)
    degrees = Georeference(CRS.from_epsg(4326), Affine.identity())
    write_layer(path, FindingsTable(columns, places), degrees, geometry_type="Point")


def _write_page(path: Path, ids: Sequence[str], points: Sequence[Point], images: Mapping[str, str], rendering: Rendering) -> None:
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
    rows = [{"id": each, "name": point.name, "picture": pictures[each]} for each, point in zip(ids, points, strict=True)]
    template = (files("segassess.evaluation.sampled_accuracy") / "answers.html").read_text(encoding="utf-8")
    # "</" would end the script.
    data = json.dumps(rows).replace("</", "<\\/")
    write_text(path, template.replace("@@TITLE@@", html.escape(path.parent.name)).replace("@@ROWS@@", data))


def _picture(file: Any, point: Point) -> str:
    """The surroundings of a point as a data URL; its pixel lies in the middle, and what lies beyond the image is grey."""
    top, left = point.row - _AROUND, point.column - _AROUND
    side = 2 * _AROUND + 1
    rows = slice(max(top, 0), min(top + side, file.grid.height))
    columns = slice(max(left, 0), min(left + side, file.grid.width))
    pixels, _ = file.read(rows, columns)
    canvas = np.full((side, side, 3), 128, np.uint8)
    shown = np.rint(pixels * 255).astype(np.uint8)
    canvas[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = shown
    buffer = io.BytesIO()
    Image.fromarray(canvas).resize((_STORED, _STORED), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


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
    return Sample(strata, points, record["pixel_area_m2"], None if judge is None else SampledJudge(**judge))


def given_answers(folder: Path, answers: str | None, known: Mapping[str, Any]) -> dict[str, bool | None]:
    """Answers by id from the files `answers`, with commas between them, else from the sample's own; see `read_answers`."""
    own = [path for path in (folder / TABLE, folder / LAYER) if path.is_file()]
    return read_answers([Path(each) for each in answers.split(",")] if answers else own, known)


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
