"""What reviewers said of errors in tiles, from what Label Studio and FiftyOne export, and what that says of findings.

Label Studio (its JSON, https://labelstud.io/guide/export): a region of ours that is still there, moved or not, is an error; one
that was deleted is none. FiftyOne (`samples.json` of an exported dataset): tags of polylines, or of a sample for all of its
polylines without one, are the verdicts, since an exported view leaves out labels for many reasons.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import shapely

from segassess.errors import InputError, RequestError
from segassess.findings.object_scores import MISSED
from segassess.outputs.judged_folder import JudgedFolder, table_rows
from segassess.outputs.review_queue.fiftyone import SAMPLES
from segassess.outputs.review_queue.findings import INVENTED, Finding, make_findings
from segassess.outputs.review_queue.label_studio import TASKS, VERDICTS
from segassess.outputs.review_queue.tasks import Regions
from segassess.outputs.review_queue.verdicts import SAID, word_of

_RIGHT, _MENDED, _UNKNOWN = VERDICTS
# Share of a finding from which the verdict on errors in it is that on the finding.
_COVERED = 0.5

# Image, mask and tile.
Tile: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Said:
    """What was said of an error in a tile: whether it is one (None: nobody knows), in whose words, and in which file."""

    right: bool | None
    words: str
    file: str


def has_tiles(queue: Path) -> bool:
    """Whether a queue is one of tiles."""
    return (queue / TASKS).is_file() or (queue / SAMPLES).is_file()


def read_tile_verdicts(queue: Path, paths: Sequence[Path], masks: Sequence[JudgedFolder]) -> list[dict[str, Any]]:
    """Rows as `verdicts.read_verdicts` gives them: of findings that the verdicts decide on, and of all errors with a verdict.

    An error that reaches into several tiles is right if it is in one of them. Raises RequestError for a file that is no export of
    this queue, a queue of other results, whose errors have other numbers, or verdicts on a tile that contradict each other;
    InputError if a file cannot be read.
    """
    label_studio = (queue / TASKS).is_file()
    _require_same_results(queue, label_studio, masks)
    shown = dict(_shown_in_label_studio(queue) if label_studio else _shown_in_fiftyone(queue))
    said: dict[tuple[Tile, int], Said] = {}
    for path in paths:
        found = _from_label_studio(path, shown) if label_studio else _from_fiftyone(path, shown)
        for (tile, error), each in found:
            before = said.get((tile, error))
            if before is not None and None not in (before.right, each.right) and before.right != each.right:
                raise RequestError(f"{path}: error {error} of {', '.join(tile)} had another verdict before; keep one of them.")
            if before is None or before.right is None:
                said[tile, error] = each
    by_mask: dict[tuple[str, str], dict[int, Said]] = {}
    for ((name, source, _), error), each in said.items():
        of_mask = by_mask.setdefault((name, source), {})
        if error not in of_mask or each.right or (of_mask[error].right is None):
            of_mask[error] = each
    rows: list[dict[str, Any]] = []
    for mask in masks:
        if of_mask := by_mask.get((mask.name, mask.source), {}):
            rows += _on_findings(mask, of_mask)
    return rows


def _require_same_results(queue: Path, label_studio: bool, masks: Sequence[JudgedFolder]) -> None:
    judged = {
        (mask.name, mask.source, row["tile"]): row["error_area_px"]
        for mask in masks
        for row in table_rows(mask.require("tiles.csv"))
    }
    file = queue / (TASKS if label_studio else SAMPLES)
    for each in [task["data"] for task in _loaded(file)] if label_studio else _loaded(file)["samples"]:
        now, queued = judged.get(_tile(each, file)), each["error_area_px"]
        if now is None or queued != (float(now) if now else None):
            raise RequestError(
                f"{queue} was made from other results than those in input=, so its errors have other numbers; give the folder "
                "that it was made from, or make the queue again and review that."
            )


def _shown_in_label_studio(queue: Path) -> Iterator[tuple[Tile, set[int]]]:
    for task in _loaded(queue / TASKS):
        regions = task["predictions"][0]["result"]
        yield _tile(task["data"], queue / TASKS), {_error_of(region["id"]) for region in regions} - {0}


def _shown_in_fiftyone(queue: Path) -> Iterator[tuple[Tile, set[int]]]:
    for sample in _loaded(queue / SAMPLES)["samples"]:
        yield _tile(sample, queue / SAMPLES), {polyline["error"] for polyline in sample["errors"]["polylines"]}


def _from_label_studio(path: Path, shown: Mapping[Tile, set[int]]) -> Iterator[tuple[tuple[Tile, int], Said]]:
    tasks = _loaded(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "annotations" in task for task in tasks):
        raise RequestError(f"{path} is no export of Label Studio with annotations; choose JSON there, not JSON-MIN or another.")
    for task in tasks:
        tile = _known(_tile(task.get("data"), path), shown, path)
        for annotation in task["annotations"]:
            if annotation.get("was_cancelled"):
                continue
            results = annotation.get("result") or []
            kept = {_error_of(str(region.get("id", ""))) for region in results if region.get("type") == "polygonlabels"}
            chosen = [word for region in results for word in (region.get("value") or {}).get("choices", ())]
            verdict = chosen[0] if chosen else _MENDED
            if verdict not in VERDICTS:
                raise RequestError(f"{path}: {verdict!r} of {', '.join(tile)} is no verdict; allowed are {', '.join(VERDICTS)}.")
            for error in shown[tile]:
                right = None if verdict == _UNKNOWN else verdict != _RIGHT and error in kept
                yield (tile, error), Said(right, verdict, path.name)


def _from_fiftyone(path: Path, shown: Mapping[Tile, set[int]]) -> Iterator[tuple[tuple[Tile, int], Said]]:
    content = _loaded(path / SAMPLES if path.is_dir() else path)
    if not isinstance(content, dict) or not isinstance(content.get("samples"), list):
        raise RequestError(f"{path} is no dataset that FiftyOne exported; export it as LegacyFiftyOneDataset or FiftyOneDataset.")
    for sample in content["samples"]:
        tile = _known(_tile(sample, path), shown, path)
        for polyline in ((sample.get("errors") or {}).get("polylines")) or ():
            word = next(filter(_is_verdict, [*(polyline.get("tags") or ()), *(sample.get("tags") or ())]), None)
            if word is not None and polyline.get("error") in shown[tile]:
                yield (tile, polyline["error"]), Said(SAID[word_of(word)], word, path.name)


def _is_verdict(tag: Any) -> bool:
    # Tags are also for other things.
    return isinstance(tag, str) and bool(tag) and word_of(tag) in SAID


def _error_of(region: str) -> int:
    """The number of the error whose piece a region is, see `label_studio`; 0 of one that a reviewer drew."""
    found = re.fullmatch(r"e([1-9]\d*)p\d+", region)
    return int(found[1]) if found else 0


def _tile(data: Any, path: Path) -> Tile:
    try:
        return str(data["name"]), str(data["source"]), str(data["tile"])
    except (KeyError, TypeError) as error:
        raise RequestError(f"{path} has a task without name, source and tile; export what segassess queue made.") from error


def _known(tile: Tile, shown: Mapping[Tile, set[int]], path: Path) -> Tile:
    if tile not in shown:
        raise RequestError(f"{path}: the queue has no tile {', '.join(tile)}; give the verdicts on this queue.")
    return tile


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise RequestError(f"{path} does not exist; give the path of an export.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); export it again.") from error


def _on_findings(mask: JudgedFolder, said: Mapping[int, Said]) -> list[dict[str, Any]]:
    regions = Regions.read(mask.folder)
    errors = regions.columns["error"]
    rows = []
    tree = shapely.STRtree(regions.outlines)
    wanted = [each for each in make_findings([mask], need_place=False) if each.kind in (INVENTED, MISSED)]
    for finding in wanted:
        found = tree.query(finding.outline_px, predicate="intersects").tolist()
        near = [at for at in found if regions.columns["quality"][at] == finding.quality and errors[at] in said]
        shared = shapely.area(shapely.intersection(regions.outlines[near], finding.outline_px))
        for right in (True, False):
            agreed = [said[errors[at]].right is right for at in near]
            if any(agreed) and shared[agreed].sum() >= _COVERED * shapely.area(finding.outline_px):
                first = said[errors[near[agreed.index(True)]]]
                rows.append(_row(mask, finding, first))
                break
    for index, error in enumerate(errors):
        if error in said:
            kind = f"{regions.columns['quality'][index]} {regions.columns['form'][index]}"
            about = {"id": f"error {error}", "kind": kind, "p_error": f"{regions.columns['mean_error'][index]:.6g}"}
            rows.append({**_common(mask, said[error]), **about})
    return rows


def _row(mask: JudgedFolder, finding: Finding, each: Said) -> dict[str, Any]:
    kept = {name: vars(finding)[name] for name in ("id", "kind", "feature", "object")}
    return {**_common(mask, each), **kept, "p_error": f"{finding.p_error:.6g}"}


def _common(mask: JudgedFolder, each: Said) -> dict[str, Any]:
    accept = "" if each.right is None else "yes" if each.right else "no"
    return {"name": mask.name, "source": mask.source, "accept": accept, "said": each.words, "file": each.file}
