"""Read what reviewers said of the findings of a queue into one table, by which `segassess mend` decides.

Usage: segassess verdicts queue=DIR answers=FILE[,FILE ...]

  queue=DIR      folder that `segassess queue` wrote for maproulette, mapswipe, josm, osmose or csv
  answers=FILE   exports of MapRoulette (CSV or JSON), or tables and layers with the columns id, and accept or verdict

It leaves verdicts.csv in the folder of the queue. docs/how-to/hand-out-tasks.md
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import Key, read_keys

KEYS = {
    "queue": Key(needed="give the folder that segassess queue wrote as queue=DIR"),
    "answers": Key(needed="give the files that came back as answers=FILE,FILE"),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("verdicts", KEYS, arguments)
    # Slow to import.
    from segassess.outputs.review_queue.verdicts import read_verdicts, write_verdicts

    queue = Path(keys["queue"])
    rows = read_verdicts(queue, [Path(each) for each in keys["answers"].split(",")])
    path = write_verdicts(queue, rows)
    said = Counter((row["kind"], row["accept"] or "unsure") for row in rows)
    counts = "; ".join(f"{kind}: {count} {accept}" for (kind, accept), count in sorted(said.items())) or "none"
    print(f"{len(rows)} verdicts ({counts}): {path}")
