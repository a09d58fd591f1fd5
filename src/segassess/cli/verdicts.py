"""Read what reviewers said of the findings of a queue into one table, by which `segassess mend` decides.

Usage: segassess verdicts queue=DIR answers=FILE[,FILE ...]

  queue=DIR      folder that `segassess queue` wrote
  answers=FILE   exports of MapRoulette (CSV or JSON), tasks.osm with the tag `accept`, or tables and layers with the columns id,
                 and accept or verdict; of queues of tiles, the JSON of Label Studio or the samples.json of FiftyOne
  input=DIR      of queues of tiles: output_dir of `segassess predict` (default: the folder that the queue is in)

It leaves verdicts.csv in the folder of the queue. docs/how-to/hand-out-tasks.md
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import Key, read_keys

KEYS = {
    "queue": Key(needed="give the folder that segassess queue wrote as queue=DIR"),
    "answers": Key(needed="give the files that came back as answers=FILE,FILE"),
    "input": Key(),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("verdicts", KEYS, arguments)
    # Slow to import.
    from segassess.outputs.judged_folder import judged_folders
    from segassess.outputs.review_queue.tile_verdicts import has_tiles, read_tile_verdicts
    from segassess.outputs.review_queue.verdicts import read_verdicts, write_verdicts

    queue = Path(keys["queue"])
    answers = [Path(each) for each in keys["answers"].split(",")]
    if has_tiles(queue):
        rows = read_tile_verdicts(queue, answers, judged_folders(Path(keys["input"] or queue.resolve().parent)))
    else:
        rows = read_verdicts(queue, answers)
    path = write_verdicts(queue, rows)
    said = Counter((row["kind"], row["accept"] or "unsure") for row in rows)
    counts = "; ".join(f"{kind}: {count} {accept}" for (kind, accept), count in sorted(said.items())) or "none"
    print(f"{len(rows)} verdicts ({counts}): {path}")
