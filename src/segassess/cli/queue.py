"""Make a queue for a labelling or mapping tool from the results of `segassess predict`, worst first.

Usage: segassess queue input=DIR [key=value ...]

  input=DIR        output_dir of `segassess predict`
  to=TOOL          of tiles with their errors: label_studio (default) or fiftyone; of findings, an object each: maproulette,
                   mapswipe, josm, osmose, csv, or page, a page to review them in a browser, which also has errors
  output=DIR       folder of the queue (default: <input>/<tool>)
  most=500         int >= 1: maximum number of tiles or findings (default of page: 20000)
  simplify=PIXELS  float >= 0: tolerance in pixels when outlines are simplified (default: 1 of tiles, 1.5 of findings)
  source=NAME      of findings: the mask, where several were judged (default of page: all)
  min_area=5       float >= 0: of findings: smallest area in square metres
  image=PATH       of tiles and page: image, folder or pattern, if the images have moved since they were judged
  errors=100       int >= 1: of tiles: maximum number of errors per tile
  rims=false       of tiles: true also takes errors that are nowhere wider than a few pixels
  image_url=URL    where Label Studio finds the folder of the queue (default: local files)

`segassess verdicts` reads what the tools give back. docs/how-to/hand-out-tasks.md
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segassess.cli.keys import PREDICTED, Key, choice, read_keys, real, whole
from segassess.errors import RequestError

OF_TILES = ("label_studio", "fiftyone")
OF_FINDINGS = ("maproulette", "mapswipe", "josm", "osmose", "csv")
PAGE = "page"
MOST = 500
KEYS = {
    "input": PREDICTED,
    "to": choice((*OF_TILES, *OF_FINDINGS, PAGE), OF_TILES[0]),
    "output": Key(),
    "most": whole(None, 1),
    "simplify": real(None, 0),
    "source": Key(),
    "min_area": real(5.0, 0),
    "image": Key(),
    "errors": whole(100, 1),
    "rims": choice(("true", "false"), "false"),
    "image_url": Key(),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("queue", KEYS, arguments)
    folder = Path(keys["input"])
    queue = Path(keys["output"] or folder / keys["to"])
    if keys["to"] in OF_TILES:
        _queue_tiles(folder, queue, keys)
    else:
        _queue_findings(folder, queue, keys)


def _queue_tiles(folder: Path, queue: Path, keys: Mapping[str, Any]) -> None:
    # Slow to import.
    from segassess.outputs.review_queue.fiftyone import write_fiftyone
    from segassess.outputs.review_queue.label_studio import write_label_studio
    from segassess.outputs.review_queue.tasks import make_tasks

    tasks = make_tasks(
        folder,
        queue,
        keys["image"],
        most=keys["most"] or MOST,
        errors=keys["errors"],
        simplify_px=1.0 if keys["simplify"] is None else keys["simplify"],
        rims=keys["rims"] == "true",
    )
    model = f"segassess {json.loads((folder / 'run.json').read_text(encoding='utf-8'))['checkpoint_digest']}"
    if keys["to"] == "fiftyone":
        written = write_fiftyone(queue, tasks, model)
    else:
        written = write_label_studio(queue, tasks, model, keys["image_url"])
    print(f"{len(tasks)} tiles, worst first: {', '.join(map(str, written))}")


def _queue_findings(folder: Path, queue: Path, keys: Mapping[str, Any]) -> None:
    from segassess.outputs.judged_folder import of_one_source
    from segassess.outputs.review_queue.findings import make_findings
    from segassess.outputs.review_queue.mapping_tools import TABLE, WRITERS, has_answers, write_table

    if has_answers(queue):
        raise RequestError(f"{queue / TABLE} has answers, which would be lost; give another folder as output=DIR.")
    simplify = 1.5 if keys["simplify"] is None else keys["simplify"]
    limits = {"min_area_m2": keys["min_area"], "simplify_px": simplify}
    if keys["to"] == PAGE:
        from segassess.outputs.findings_page import write_findings_page

        written = write_findings_page(queue, folder, keys["image"], keys["source"], most=keys["most"], **limits)
        print(f"Findings, worst first: {', '.join(map(str, written))}")
        return
    write, limit = WRITERS[keys["to"]]
    every = make_findings(of_one_source(folder, keys["source"]), **limits)
    findings = every[: min(keys["most"] or MOST, limit)]
    written = [write_table(queue, findings), *write(queue, findings)]
    left = f" of {len(every)}" if len(every) > len(findings) else ""
    small = f", smaller than {keys['min_area']:g} m2 left out" if keys["min_area"] else ""
    print(f"{len(findings)}{left} findings, worst first{small}: {', '.join(map(str, written))}")
