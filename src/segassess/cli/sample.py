"""Draw a random sample of points from judged masks, to be looked at, so that a figure can be signed.

Usage: segassess sample input=DIR [key=value ...]

  input=DIR        output_dir of `segassess predict`
  looks=200        int >= 20: number of points to look at
  seed=1           int >= 0: the same seed draws the same points
  source=NAME      only masks of this source (default: the only one)
  output=DIR       folder of the sample (default: <input>/sample)
  image=PATH       image, folder or pattern, if the images have moved since they were judged

Open sample.html and answer, or fill the column `answer` of sample.gpkg or sample.csv (object, background or unsure); then run
segassess estimate. docs/how-to/sign-a-figure.md
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segassess.cli.keys import PREDICTED, Key, read_keys, whole
from segassess.errors import RequestError

KEYS = {
    "input": PREDICTED,
    "looks": whole(200, 20),
    "seed": whole(1, 0),
    "source": Key(),
    "output": Key(),
    "image": Key(),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("sample", KEYS, arguments)
    # Slow to import.
    import numpy as np

    from segassess.evaluation.sampled_accuracy.design import allocate
    from segassess.evaluation.sampled_accuracy.points import count_strata, draw_points
    from segassess.evaluation.sampled_accuracy.sample_files import RECORD, SampledJudge, write_sample
    from segassess.outputs.judged_folder import images_of, of_one_source, read_record, rendering_of

    folder = Path(keys["input"])
    output = Path(keys["output"] or folder / "sample")
    if (output / RECORD).exists():
        raise RequestError(f"{output} holds a sample already; its answers would be lost. Give another folder as output=DIR.")
    masks = of_one_source(folder, keys["source"])
    record, source = read_record(folder), masks[0].source
    strata, area = count_strata(masks)
    if not sum(stratum.size for stratum in strata):
        raise RequestError(f"{folder} has no assessed pixel of {source}; there is nothing to draw from.")
    looks = allocate(strata, keys["looks"])
    points = draw_points(masks, strata, looks, np.random.default_rng(keys["seed"]))
    about: dict[str, Any] = {"input": str(folder), "source": source, "seed": keys["seed"], "looks": len(points)}
    about["judge"] = asdict(SampledJudge.of(record))
    written = write_sample(output, points, strata, area, images_of(record, keys["image"]), rendering_of(record), about)
    what = f"the mask of {source}" if len(masks) == 1 else f"{len(masks)} masks of {source}"
    print(f"{len(points)} points of {what}: {', '.join(map(str, written))}")
