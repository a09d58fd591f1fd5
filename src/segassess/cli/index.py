"""Write one index of all judged scenes: footprints with scores and worst errors, as GeoParquet, vector tiles and a page.

Usage: segassess index input=DIR [key=value ...]

  input=DIR    output_dir of `segassess predict`, or several: DIR,DIR
  output=DIR   folder of index.parquet, index.pmtiles and index.html (default: the first input)

Open index.html in a browser: scenes worst first, with a map and links to their results. index.parquet is for GeoPandas, DuckDB or
QGIS, index.pmtiles for maps in a browser. docs/how-to/judge-on-a-cluster.md
"""

from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import PREDICTED, Key, read_keys

KEYS = {"input": PREDICTED, "output": Key()}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("index", KEYS, arguments)
    # Slow to import.
    from rich.progress import track

    from segassess.outputs.scene_index import write_index
    from segassess.outputs.tables import require_parquet

    require_parquet("segassess index")
    inputs = [Path(each) for each in keys["input"].split(",")]
    output = Path(keys["output"] or inputs[0])
    count, left_out, paths = write_index(output, inputs, lambda masks: track(masks, "Scenes", transient=True))
    if left_out:
        print(f"{len(left_out)} without a place on the earth are left out, such as {left_out[0]}.")
    print(f"{count} scene{'s' * (count != 1)}, most expected wrong pixels first: {', '.join(map(str, paths))}")
