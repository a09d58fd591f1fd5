"""Mend a layer of polygons by what was found in it: drop invented polygons, move shifted ones, add missed ones.

Usage: segassess mend input=DIR [key=value ...]

  input=DIR         output_dir of `segassess predict` on a layer of polygons
  name=NAME         the image, where several were judged; source=NAME the mask
  drop=0.6          number from 0 to 1: drop polygons with at least this mean P(error); 1 hardly any
  add=0.6           number from 0 to 1: add missed objects with at least this probability; 1 hardly any
  move=true         true or false: move polygons that are called shifted (known after fit=layer)
  decisions=FILE    CSV with the columns feature or object, and accept: yes, no, or of a feature drop; verdicts.csv is one
  layer=PATH        the layer, if it has moved since it was judged
  output=DIR        folder of the results (default: <input>/mended)

It leaves mended.gpkg, with all attributes and the column segassess_change; changes.gpkg, with each changed polygon as it was, to
undo by; and added.osc, an OSM change with the added outlines. docs/how-to/mend-a-layer.md
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segassess.cli.keys import PREDICTED, Key, choice, read_keys, real
from segassess.errors import RequestError

if TYPE_CHECKING:
    from segassess.outputs.judged_folder import JudgedFolder

KEYS = {
    "input": PREDICTED,
    "name": Key(),
    "source": Key(),
    "drop": real(None, 0, 1),
    "add": real(None, 0, 1),
    "move": choice(("true", "false"), "true"),
    "decisions": Key(),
    "layer": Key(),
    "output": Key(),
}
# Judged masks that a message names.
_SHOWN = 5
_SAID = {**dict.fromkeys(("yes", "1", "true"), "yes"), **dict.fromkeys(("no", "0", "false"), "no"), "drop": "drop"}


def read_decisions(path: Path) -> dict[str, dict[int, str]]:
    """Decisions by id, under `feature` and `object`; rows without `accept` and verdicts on areas are passed over.

    Raises RequestError for a row that names neither, both, or another answer than yes, no, or drop.
    """
    from segassess.spreadsheets import read_rows

    found: dict[str, dict[int, str]] = {"feature": {}, "object": {}}
    for line, row in read_rows(path, ("accept",)):
        said = row["accept"].lower()
        if not said:
            continue
        named = [kind for kind in found if row.get(kind)]
        if not named and "said" in row:
            # A verdict on an area of errors, of which nothing in the layer follows.
            continue
        if not named and "id" in row:
            raise RequestError(f"{path} has ids of a queue; give the verdicts.csv that segassess verdicts makes of it.")
        if len(named) != 1 or not row[named[0]].isdecimal():
            raise RequestError(f"{path}, line {line}: give the id of one feature or one object, a whole number.")
        if said not in _SAID or (said == "drop" and named[0] == "object"):
            raise RequestError(f"{path}, line {line}: accept is {row['accept']!r}; write yes or no, or drop for a feature.")
        found[named[0]][int(row[named[0]])] = _SAID[said]
    return found


def chosen_folder(folders: "Sequence[JudgedFolder]", name: str | None, source: str | None, key: str = "source") -> "JudgedFolder":
    """The only judged mask of this name and source, None being any; `key` is what the source is called on the command line.

    Raises RequestError if there is none or more than one.
    """
    found = [each for each in folders if name in (None, each.name) and source in (None, each.source)]
    if len(found) != 1:
        given = " ".join(f"{label}={value}" for label, value in (("name", name), (key, source)) if value)
        titles = "; ".join(each.title for each in (found or folders)[:_SHOWN])
        if not found:
            raise RequestError(f"No judged mask has {given}; there are: {titles}." if given else "No mask was judged.")
        raise RequestError(f"{len(found)} masks were judged; choose one by name=NAME and {key}=SOURCE: {titles}.")
    return found[0]


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("mend", KEYS, arguments)
    # Slow to import.
    from segassess.outputs.judged_folder import judged_folders, mask_of, read_record
    from segassess.outputs.mending import Acceptance, mend, write_mended

    folder = Path(keys["input"])
    record = read_record(folder)
    judged = chosen_folder(judged_folders(folder), keys["name"], keys["source"])
    decided = read_decisions(Path(keys["decisions"])) if keys["decisions"] else {"feature": {}, "object": {}}
    limits = {name: keys[name] for name in ("drop", "add") if keys[name] is not None}
    accepted = Acceptance(**limits, move=keys["move"] == "true", features=decided["feature"], objects=decided["object"])
    mended = mend(keys["layer"] or mask_of(record, judged), judged, accepted)
    written = write_mended(Path(keys["output"] or folder / "mended"), mended, "mended")
    counts = ", ".join(f"{count} {change}" for change, count in mended.counts().items())
    said = sum(map(len, decided.values()))
    print(f"{len(mended.layer)} polygons: {counts}; decisions read: {said}. Written: {', '.join(map(str, written))}")
