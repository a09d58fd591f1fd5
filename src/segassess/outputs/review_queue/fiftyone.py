"""A review queue in the JSON layout that FiftyOne imports as `fiftyone.types.LegacyFiftyOneDataset`.

Coordinates are shares of a picture's width and height. Written without FiftyOne, which brings a database of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segassess.files import write_json
from segassess.outputs.review_queue.tasks import ReviewTask, Ring, TaskError

METADATA, SAMPLES = "metadata.json", "samples.json"


def write_fiftyone(queue: Path, tasks: Sequence[ReviewTask], model: str) -> list[Path]:
    """Write `metadata.json` and `samples.json` into the folder of the pictures, and return both paths.

    `tasks` come worst first; `model` names the assessor. Raises RequestError if the folder cannot be written to.
    """
    about = {"media_type": "image", "info": {"model": model, "order": "most expected wrong pixels first"}}
    samples = [fiftyone_sample(task, rank) for rank, task in enumerate(tasks, 1)]
    write_json(queue / METADATA, about, indent=1, allow_nan=False)
    write_json(queue / SAMPLES, {"samples": samples}, indent=1, allow_nan=False)
    return [queue / METADATA, queue / SAMPLES]


def fiftyone_sample(task: ReviewTask, rank: int) -> dict[str, Any]:
    """A task as a serialised sample; `rank` is its place in the queue, from 1."""
    return {
        "filepath": task.picture,
        "tags": [],
        "_media_type": "image",
        **task.facts(rank),
        "errors": {
            "_cls": "Polylines",
            "polylines": [_polyline(task, error, ring) for error in task.errors for ring in error.rings],
        },
    }


def _polyline(task: ReviewTask, error: TaskError, ring: Ring) -> dict[str, Any]:
    """One piece of an error: pieces cut through a hole share an edge, which rings of one filled polyline may not."""
    return {
        "_cls": "Polyline",
        "label": error.quality,
        "points": [[[x / task.width, y / task.height] for x, y in ring]],
        "closed": True,
        "filled": True,
        "confidence": error.mean_error,
        "error": error.error,
        "form": error.form,
        "tags": [],
    }
