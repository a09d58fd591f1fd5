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
from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import Key, choice, read_keys, real, whole

FORMATS = ("label_studio", "fiftyone")
KEYS = {
    "input": Key(needed="give the output_dir of segassess predict as input=DIR"),
    "to": choice(FORMATS, FORMATS[0]),
    "output": Key(),
    "image": Key(),
    "most": whole(500, 1),
    "errors": whole(100, 1),
    "simplify": real(1.0, 0),
    "image_url": Key(),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("queue", KEYS, arguments)
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
