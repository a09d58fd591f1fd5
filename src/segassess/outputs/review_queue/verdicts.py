"""What reviewers said of findings, from the files that their tools give back, by the id that the queue gave each finding."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from segassess.errors import InputError, RequestError
from segassess.outputs.answer_tables import answer_rows, cell
from segassess.outputs.review_queue.mapping_tools import TABLE
from segassess.spreadsheets import harmless, read_rows, write_rows

VERDICTS = "verdicts.csv"
COLUMNS = ("id", "name", "source", "kind", "feature", "object", "p_error", "accept", "said", "file")
# Whether the finding was right, by what a tool or a person says of it, in lower case without blanks and underscores; None if
# nobody knows. MapRoulette's numbers are those of its API.
SAID: Mapping[str, bool | None] = {
    **dict.fromkeys(("1", "fixed", "5", "alreadyfixed", "yes", "true", "right"), True),
    **dict.fromkeys(("2", "falsepositive", "notanissue", "no", "false", "wrong"), False),
    **dict.fromkeys(("", "0", "created", "3", "skipped", "4", "deleted", "6", "toohard", "9", "disabled", "unsure"), None),
}
# Columns that name a finding, and that say something of it, the first that is there counts; in lower case.
_IDS, _VERDICTS = ("taskname", "id", "name"), ("taskstatus", "status", "accept", "verdict")


def read_verdicts(queue: Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """A row for each finding of the queue of which something was said, with `accept` yes, no, or empty if nobody knows.

    Files are CSV or JSON exports of MapRoulette, CSV, GeoJSON or GeoPackage with the columns id, and accept or verdict, and
    tasks.osm as JOSM saves it, where somebody has added the tag `accept` to an outline.
    Raises RequestError for an unknown finding or verdict, verdicts that contradict each other, or a file without these columns;
    InputError if a file cannot be read.
    """
    known = {row["id"]: row for _, row in read_rows(queue / TABLE, ("id", "kind", "feature", "object"))}
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        for where, row in _READERS.get(path.suffix.lower(), answer_rows)(path):
            ids, (said, *_) = _named(row, _IDS, path), _named(row, _VERDICTS, path)
            # MapRoulette has ids of its own, and our tables a column of another name.
            each = next((value for value in ids if value in known), ids[0])
            word = word_of(said)
            if word not in SAID:
                raise RequestError(f"{path}, {where}: {said!r} is no verdict; write yes, no, unsure or a status of MapRoulette.")
            right = SAID[word]
            if each not in known:
                raise RequestError(f"{path}, {where}: {queue} has no finding {each!r}; give the verdicts on this queue.")
            if right is None and (not said or each in found):
                continue
            accept = "" if right is None else "yes" if right else "no"
            before = found.get(each, {}).get("accept", "")
            if before and before != accept:
                raise RequestError(f"{path}, {where}: {each} had another verdict before; keep one of them.")
            about = {name: known[each].get(name, "") for name in COLUMNS[:7]}
            found[each] = {**about, "accept": accept, "said": said, "file": path.name}
    return list(found.values())


def word_of(said: str) -> str:
    """A verdict as `SAID` has it."""
    return said.lower().replace(" ", "").replace("_", "")


def write_verdicts(queue: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write `verdicts.csv` into the queue; `segassess mend` takes it as decisions."""
    texts = ("name", "source", "said", "file")
    write_rows(queue / VERDICTS, COLUMNS, ({**row, **{each: harmless(row[each]) for each in texts}} for row in rows))
    return queue / VERDICTS


def _named(row: Mapping[str, str], names: Sequence[str], path: Path) -> list[str]:
    found = [row[name] for name in names if name in row]
    if not found:
        raise RequestError(f"{path} has the columns {', '.join(row)}; it needs id, and accept or verdict.")
    return found


def _listed(path: Path) -> list[tuple[str, dict[str, str]]]:
    """A list of objects, as MapRoulette's API gives tasks."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); export it again.") from error
    if not (isinstance(content, list) and all(isinstance(row, dict) for row in content)):
        raise RequestError(f"{path} is not a list of tasks; export the tasks of the challenge as JSON or CSV.")
    tasks = enumerate(content, 1)
    return [(f"task {number}", {str(name).lower(): cell(value) for name, value in row.items()}) for number, row in tasks]


def _from_osm(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Outlines of `tasks.osm` with their tag `accept`."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{path} cannot be read as OSM XML ({error}); save it again in JOSM.") from error
    rows = []
    for element in root:
        tags = {tag.get("k", ""): tag.get("v", "") for tag in element.iter("tag")}
        if "segassess:id" in tags:
            where = f"{element.tag} {element.get('id')}"
            rows.append((where, {"id": tags["segassess:id"], "accept": tags.get("accept", "").strip()}))
    return rows


# By the end of a file's name; others are tables or layers.
_READERS: Mapping[str, Callable[[Path], list[tuple[str, dict[str, str]]]]] = {".json": _listed, ".osm": _from_osm}
