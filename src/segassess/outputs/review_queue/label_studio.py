"""A review queue for Label Studio (https://labelstud.io/guide/predictions): tasks with the errors as predictions.

Coordinates are percent of the picture's size. A prediction's score is the expected share of right pixels, a region's its mean
P(error).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from segassess.files import write_json, write_text
from segassess.outputs.review_queue.tasks import ReviewTask, TaskError, share_right
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, FN, FP

TASKS, CONFIG = "tasks.json", "labeling_config.xml"
# Names in the labelling interface.
_IMAGE, _MASK, _ERRORS, _VERDICT = "image", "mask", "errors", "verdict"
VERDICTS = ("mask is right", "mask was mended", "cannot be told")


def write_label_studio(queue: Path, tasks: Sequence[ReviewTask], model: str, image_url: str | None = None) -> list[Path]:
    """Write `tasks.json` and `labeling_config.xml` into the folder of the pictures, and return both paths.

    `tasks` come worst first; `model` is shown as the version of the predictions. `image_url` precedes the paths of pictures; None
    makes them local files of Label Studio in a folder of the queue's name. Raises RequestError if the folder cannot be written
    to.
    """
    before = f"/data/local-files/?d={quote(queue.resolve().name)}/" if image_url is None else f"{image_url.rstrip('/')}/"
    content = [label_studio_task(task, rank, model, before) for rank, task in enumerate(tasks, 1)]
    write_json(queue / TASKS, content, indent=1, allow_nan=False)
    write_text(queue / CONFIG, labeling_config())
    return [queue / TASKS, queue / CONFIG]


def label_studio_task(task: ReviewTask, rank: int, model: str, before: str) -> dict[str, Any]:
    """A task as Label Studio imports it; `rank` counts from 1, `before` precedes the path of the picture."""
    pictures = {"image": before + quote(task.picture), "mask": before + quote(task.mask_picture)}
    data = {**pictures, "title": task.title, **task.facts(rank)}
    result = [region for error in task.errors for region in _regions(task, error)]
    prediction: dict[str, Any] = {"model_version": model, "result": result}
    if (score := share_right(task)) is not None:
        prediction["score"] = score
    return {"data": data, "predictions": [prediction]}


def _regions(task: ReviewTask, error: TaskError) -> list[dict[str, Any]]:
    return [
        {
            "id": f"e{error.error}p{piece}",
            "type": "polygonlabels",
            "from_name": _ERRORS,
            "to_name": _IMAGE,
            "original_width": task.width,
            "original_height": task.height,
            "image_rotation": 0,
            "score": round(error.mean_error, 4),
            "value": {
                "points": [[round(100 * x / task.width, 4), round(100 * y / task.height, 4)] for x, y in ring],
                "closed": True,
                "polygonlabels": [error.quality],
            },
            "meta": {"text": [f"error {error.error}, {error.form}"]},
        }
        for piece, ring in enumerate(error.rings)
    ]


def labeling_config() -> str:
    """The labelling interface: the picture, it with the mask's outline, errors in the colours of quality maps, a verdict."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="$title")
    ElementTree.SubElement(view, "Image", name=_IMAGE, value="$image", zoom="true", zoomControl="true")
    labels = ElementTree.SubElement(view, "PolygonLabels", name=_ERRORS, toName=_IMAGE, strokeWidth="1", opacity="0.3")
    for code in (FP, FN):
        red, green, blue, _ = CLASS_COLOURS[code]
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        ElementTree.SubElement(labels, "Label", value=CLASS_NAMES[code], background=colour, hint=CLASS_LABELS[code])
    ElementTree.SubElement(view, "Header", value="The mask under review", size="5")
    ElementTree.SubElement(view, "Image", name=_MASK, value="$mask", zoom="true", zoomControl="true")
    choices = ElementTree.SubElement(view, "Choices", name=_VERDICT, toName=_IMAGE, choice="single", showInline="true")
    for verdict in VERDICTS:
        ElementTree.SubElement(choices, "Choice", value=verdict)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"
