"""Make a queue of the worst tiles for a labelling tool from the results of `segassess predict`.

Usage: segassess queue input=DIR [key=value ...]

  input=DIR        output_dir of `segassess predict`
  to=TOOL          label_studio (default) or fiftyone
  output=DIR       folder of the queue (default: <input>/<tool>)
  image=PATH       image, folder or pattern, if the images have moved since they were judged
  most=500         int >= 1: maximum number of tiles
  errors=100       int >= 1: maximum number of errors per tile
  simplify=1.0     float >= 0: tolerance in pixels when outlines are simplified
  image_url=URL    where Label Studio finds the folder of the queue (default: local files)
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError

FORMATS = ("label_studio", "fiftyone")
DEFAULTS = {
    "input": None,
    "to": FORMATS[0],
    "output": None,
    "image": None,
    "most": 500,
    "errors": 100,
    "simplify": 1.0,
    "image_url": None,
}
# Keys that do not take any text: what is allowed, how it is read, and a test.
_CHECKS: dict[str, tuple[str, Callable[[str], Any], Callable[[Any], bool]]] = {
    "to": (" or ".join(FORMATS), str, lambda value: value in FORMATS),
    "most": ("a whole number of 1 or more", int, lambda value: value >= 1),
    "errors": ("a whole number of 1 or more", int, lambda value: value >= 1),
    "simplify": ("a number of 0 or more", float, lambda value: 0 <= value < math.inf),
}


def read_keys(arguments: Sequence[str]) -> dict[str, Any]:
    """Read and check `key=value` arguments; missing keys have their defaults."""
    values: dict[str, Any] = dict(DEFAULTS)
    for argument in arguments:
        key, given, value = argument.partition("=")
        if not given or key not in values:
            raise ConfigError(f"{argument} is not an argument of queue; give key=value with one of the keys {', '.join(values)}.")
        if not value:
            raise ConfigError(f"{key}= has no value; leave the key out for its default.")
        allowed, read, holds = _CHECKS.get(key, ("", str, bool))
        try:
            values[key] = read(value)
        except ValueError:
            values[key] = math.nan  # lies in no range
        if not holds(values[key]):
            raise ConfigError(f"{key} must be {allowed}, not {value!r}.")
    if values["input"] is None:
        raise ConfigError("input is missing; give the output_dir of segassess predict as input=DIR.")
    return values


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys(arguments)
    # Slow to import.
    from segassess.outputs.review_queue.fiftyone import write_fiftyone
    from segassess.outputs.review_queue.label_studio import write_label_studio
    from segassess.outputs.review_queue.tasks import make_tasks

    folder = Path(keys["input"])
    queue = Path(keys["output"] or folder / keys["to"])
    tasks = make_tasks(folder, queue, keys["image"], most=keys["most"], errors=keys["errors"], simplify_px=keys["simplify"])
    model = f"segassess {json.loads((folder / 'run.json').read_text(encoding='utf-8'))['checkpoint_digest']}"
    if keys["to"] == "fiftyone":
        written = write_fiftyone(queue, tasks, model)
    else:
        written = write_label_studio(queue, tasks, model, keys["image_url"])
    print(f"{len(tasks)} tiles, worst first: {', '.join(map(str, written))}")
