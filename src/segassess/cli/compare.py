"""Compare two editions of a layer that were judged over one image: where the newer is better, and where it is worse.

Usage: segassess compare input=DIR old=SOURCE new=SOURCE [key=value ...]

  input=DIR         output_dir of `segassess predict image=a.tif mask=old.gpkg,new.gpkg`
  old=SOURCE        the older edition, by the name of its file without suffix
  new=SOURCE        the newer edition
  name=NAME         the image, where several were judged
  min_area=25       int >= 1: smallest changed area that is listed, in pixels
  min_iou=NUMBER    exit with 1 unless the estimated IoU of the newer edition is at least this
  min_gain=NUMBER   exit with 1 unless the newer edition wins at least this share of the pixels that changed, won minus lost
  output=DIR        folder of the results (default: <input>/compared)

It leaves differences.gpkg, the changed areas, worst first; tiles.csv; and comparison.json. docs/how-to/accept-a-delivery.md
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segassess.cli.keys import PREDICTED, Key, read_keys, real, whole
from segassess.errors import RequestError

KEYS = {
    "input": PREDICTED,
    "old": Key(needed="give the source of the older edition as old=SOURCE"),
    "new": Key(needed="give the source of the newer edition as new=SOURCE"),
    "name": Key(),
    "min_area": whole(25, 1),
    "min_iou": real(None, 0, 1),
    "min_gain": real(None, -1, 1),
    "output": Key(),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("compare", KEYS, arguments)
    # Slow to import.
    from rich.console import Console
    from rich.table import Table

    from segassess.cli.mend import chosen_folder
    from segassess.evaluation.editions import compare_editions
    from segassess.files import write_json
    from segassess.outputs.judged_folder import judged_folders, table_rows
    from segassess.outputs.layers import write_layer
    from segassess.outputs.tables import number, write_table

    folder = Path(keys["input"])
    masks = judged_folders(folder)
    old, new = (chosen_folder(masks, keys["name"], keys[edition], edition) for edition in ("old", "new"))
    if old == new:
        raise RequestError(f"old and new are both {new.source}; give two editions.")
    found = compare_editions(old, new, keys["min_area"])
    scores = {row["source"]: row for row in table_rows(folder / "scores.csv") if row["name"] == new.name}
    ious = [float(scores[mask.source]["estimated_iou"] or "nan") for mask in (old, new)]
    changed = found.added + found.removed
    gain = (found.won - found.lost) / changed if changed else math.nan
    table = Table(title=f"{new.name}: {old.source} and {new.source}")
    for heading in ("", old.source, new.source):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("estimated IoU (a prediction)", *map(number, ious))
    table.add_row("pixels added", "", str(found.added))
    table.add_row("pixels removed", "", str(found.removed))
    table.add_row("of these expected right", "", f"{found.won:.0f}")
    table.add_row("of these expected wrong", "", f"{found.lost:.0f}")
    table.add_row("won minus lost, share of the changed", "", number(gain))
    Console().print(table)
    output = Path(keys["output"] or folder / "compared")
    write_layer(output / "differences.gpkg", found.areas, found.grid.georeference)
    write_table(output / "tiles.csv", list(found.tiles[0]) if found.tiles else ["tile"], found.tiles)
    result: dict[str, Any] = {"old": old.source, "new": new.source, "added_px": found.added, "removed_px": found.removed}
    result |= {"won_px": found.won, "lost_px": found.lost, "gain": None if math.isnan(gain) else gain}
    result["estimated_iou"] = {mask.source: None if math.isnan(iou) else iou for mask, iou in zip((old, new), ious, strict=True)}
    write_json(output / "comparison.json", result)
    verdicts, pixels = (found.areas.column(name) for name in ("verdict", "area_px"))
    kinds = ", ".join(f"{(verdicts == kind).sum()} {kind} ({pixels[verdicts == kind].sum()} px)" for kind in ("better", "worse"))
    print(f"{len(found.areas)} changed areas: {kinds}, worst first: {output / 'differences.gpkg'}, {output / 'tiles.csv'}")
    faults = []
    if keys["min_iou"] is not None and not ious[1] >= keys["min_iou"]:
        faults.append(f"its estimated IoU is {number(ious[1])}, wanted is {keys['min_iou']:g}")
    if keys["min_gain"] is not None and changed and not gain >= keys["min_gain"]:
        faults.append(f"it wins {number(gain)} of what changed, wanted is {keys['min_gain']:g}")
    if keys["min_iou"] is not None or keys["min_gain"] is not None:
        print(f"{new.source} is {'not accepted: ' + '; '.join(faults) if faults else 'accepted'}.")
    if faults:
        sys.exit(1)
