"""The record of who drew the masks of a folder: network, threshold, and whether the network had seen the image.

`masks.csv` lies beside the masks; a row is appended after its mask is complete, so an interrupted run continues where it was.
Of several rows of one tile the last counts; a row that a sudden end cut short does not.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from segassess.data.tiles import Tile
from segassess.errors import InputError, RequestError
from segassess.files import atomic_path

RECORD_FILE = "masks.csv"

# What a network had to do with an image: learned from it, chose its checkpoint on it, or never saw it.
Seen: TypeAlias = Literal["trained", "selected", "no"]


@dataclass(frozen=True)
class MaskRecord:
    """Who drew a mask.

    Attributes:
        name: the tile's name.
        segmenter: name of the architecture.
        checkpoint: first 16 hexadecimal digits of the SHA-256 of the network's file.
        threshold: of the probability, in (0, 1).
        seen: "trained" if the network learned from this image, "selected" if its checkpoint was chosen on it, else "no".
    """

    name: str
    segmenter: str
    checkpoint: str
    threshold: float
    seen: Seen


_COLUMNS = [field.name for field in fields(MaskRecord)]


def read_records(folder: Path) -> dict[str, MaskRecord]:
    """Records of a folder of masks by tile name; empty where there are none (masks of unknown origin).

    Raises:
        InputError: if the file is not such a record.
    """
    file = folder / RECORD_FILE
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        if table.fieldnames != _COLUMNS:
            raise InputError(f"{file} must have the columns {', '.join(_COLUMNS)}; draw the masks anew with overwrite=true.")
        # A line that a sudden end cut short lacks the last value or has a part of it, and its mask is drawn again.
        return {row["name"]: _record(row) for row in table if row["seen"] in get_args(Seen)}


def _record(row: Mapping[str, str]) -> MaskRecord:
    return MaskRecord(row["name"], row["segmenter"], row["checkpoint"], float(row["threshold"]), row["seen"])  # type: ignore[arg-type]


def append_record(folder: Path, record: MaskRecord) -> None:
    """Add a row to the record of a folder."""
    file = folder / RECORD_FILE
    if not file.is_file():
        with atomic_path(file) as beside:
            beside.write_text(",".join(_COLUMNS) + "\n", encoding="utf-8")
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        torn = content.read() != b"\n"
    with file.open("a", newline="", encoding="utf-8") as lines:
        if torn:
            # What a sudden end cut short stays a line of its own.
            lines.write("\n")
        csv.DictWriter(lines, _COLUMNS, lineterminator="\n").writerow(asdict(record))


def refuse_seen(source: str, tiles: Sequence[Tile]) -> None:
    """Refuse masks that were drawn by a network that had learned from the same image.

    Such masks are far cleaner than those the network makes later, and an assessor trained on them learns to see no errors.

    Args:
        source: of the masks.
        tiles: whose masks of that source are looked up in the records beside them.

    Raises:
        RequestError: if there is one; names it and what to do. Masks without a record pass.
    """
    masks = [tile.masks[source] for tile in tiles if source in tile.masks]
    records = {folder: read_records(folder) for folder in {mask.parent for mask in masks}}
    seen = [mask for mask in masks if (record := records[mask.parent].get(mask.stem)) and record.seen == "trained"]
    if seen:
        raise RequestError(
            f"{len(seen)} masks of {source} (such as {seen[0].stem}) were drawn by a network that had learned from that image; "
            f"draw masks out of fold with train.py task=crossfit segmenter={source}, or set sampling.cross_fit=false."
        )
