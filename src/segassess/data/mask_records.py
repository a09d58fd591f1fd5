"""`masks.csv`, the record beside masks of which network drew them and whether it had seen the image.

A row is appended once its mask is complete, so an interrupted run can continue. The last row of a tile counts; a truncated row
does not.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from segassess.data.tiles import Tile
from segassess.errors import InputError, RequestError
from segassess.files import write_text

RECORD_FILE = "masks.csv"

# The network learned from the image, its checkpoint was selected on it, or it never saw it.
Seen: TypeAlias = Literal["trained", "selected", "no"]


@dataclass(frozen=True)
class MaskRecord:
    """Who drew a mask."""

    name: str  # of the tile
    segmenter: str  # name of the architecture
    checkpoint: str  # first 16 hexadecimal digits of the file's SHA-256
    threshold: float  # of the probability, in (0, 1)
    seen: Seen


_COLUMNS = [field.name for field in fields(MaskRecord)]


def read_records(folder: Path) -> dict[str, MaskRecord]:
    """Records of a folder by tile name; empty without a record file. Raises InputError if its columns are wrong."""
    file = folder / RECORD_FILE
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        if table.fieldnames != _COLUMNS:
            raise InputError(f"{file} must have the columns {', '.join(_COLUMNS)}; redraw the masks with overwrite=true.")
        # A truncated line lacks a complete last value, and its mask is drawn again.
        return {row["name"]: _record(row) for row in table if row["seen"] in get_args(Seen)}


def _record(row: Mapping[str, str]) -> MaskRecord:
    return MaskRecord(row["name"], row["segmenter"], row["checkpoint"], float(row["threshold"]), row["seen"])  # type: ignore[arg-type]


def append_record(folder: Path, record: MaskRecord) -> None:
    """Append a row to the record of a folder."""
    file = folder / RECORD_FILE
    if not file.is_file():
        write_text(file, ",".join(_COLUMNS) + "\n")
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        torn = content.read() != b"\n"
    with file.open("a", newline="", encoding="utf-8") as lines:
        if torn:
            # Keep a truncated row on a line of its own.
            lines.write("\n")
        csv.DictWriter(lines, _COLUMNS, lineterminator="\n").writerow(asdict(record))


def refuse_seen(source: str, tiles: Sequence[Tile]) -> None:
    """Raise RequestError if a network that had learned from an image drew its mask; masks without a record pass.

    Such masks are far cleaner than those of new images, so an assessor trained on them learns to see no errors.
    """
    masks = [tile.masks[source] for tile in tiles if source in tile.masks]
    records = {folder: read_records(folder) for folder in {mask.parent for mask in masks}}
    seen = [mask for mask in masks if (record := records[mask.parent].get(mask.stem)) and record.seen == "trained"]
    if seen:
        raise RequestError(
            f"{len(seen)} masks of {source} (such as {seen[0].stem}) were drawn by a network that had learned from that image; "
            f"draw masks out of fold with train.py task=crossfit segmenter={source}, or set sampling.cross_fit=false."
        )
