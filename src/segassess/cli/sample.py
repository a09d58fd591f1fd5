"""Draw a random sample of pixels, objects or blocks of judged masks, to be looked at, so that a figure can be signed.

Usage: segassess sample input=DIR [key=value ...]

  input=DIR        output_dir of `segassess predict`
  looks=200        int from 20 to 20,000: number of pixels, objects or blocks to look at; more are drawn where a stratum needs it
  units=pixels     pixels; objects of the layer and missed ones; or blocks, squares in which all objects are counted
  block=256        int >= 16: side of a block in pixels
  seed=1           int >= 0: the same seed draws the same sample
  source=NAME      only masks of this source (default: the only one)
  output=DIR       folder of the sample (default: <input>/sample)
  image=PATH       image, folder or pattern, if the images have moved since they were judged

Open sample.html and answer, or fill the column `answer` of sample.gpkg or sample.csv (object, background or unsure; of blocks
the columns `wrong` and `missed`, numbers of objects); then run segassess estimate. docs/how-to/sign-a-figure.md
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segassess.cli.keys import PREDICTED, Key, choice, read_keys, whole
from segassess.errors import RequestError

KEYS = {
    "input": PREDICTED,
    "looks": whole(200, 20, 20_000),
    "units": choice(("pixels", "objects", "blocks"), "pixels"),
    "block": whole(256, 16),
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

    from segassess.evaluation.sampled_accuracy.design import allocate, allocate_counts
    from segassess.evaluation.sampled_accuracy.objects import block_population, draw_units, object_population
    from segassess.evaluation.sampled_accuracy.points import count_strata, draw_points
    from segassess.evaluation.sampled_accuracy.sample_files import OBJECTS, PIXELS, RECORD, SampledJudge, write_sample
    from segassess.outputs.judged_folder import images_of, of_one_source, read_record, rendering_of

    folder = Path(keys["input"])
    output = Path(keys["output"] or folder / "sample")
    if (output / RECORD).exists():
        raise RequestError(f"{output} holds a sample already; its answers would be lost. Give another folder as output=DIR.")
    masks = of_one_source(folder, keys["source"])
    record, source = read_record(folder), masks[0].source
    units, rng = keys["units"], np.random.default_rng(keys["seed"])
    about: dict[str, Any] = {"input": str(folder), "source": source, "seed": keys["seed"]}
    about["judge"] = asdict(SampledJudge.of(record))
    area = None
    if units == PIXELS:
        strata, area = count_strata(masks)
    else:
        population = object_population(masks) if units == OBJECTS else block_population(masks, keys["block"])
        strata = population.strata
        about["objects"] = population.objects
    if not sum(stratum.size for stratum in strata):
        raise RequestError(f"{folder} has no assessed pixel or object of {source}; there is nothing to draw from.")
    if units == PIXELS:
        points = draw_points(masks, strata, allocate(strata, keys["looks"]), rng)
    else:
        looks = allocate(strata, keys["looks"]) if units == OBJECTS else allocate_counts(strata, keys["looks"])
        points = draw_units(population, masks, looks, rng)
    about["looks"] = len(points)
    written = write_sample(output, points, strata, area, images_of(record, keys["image"]), rendering_of(record), about, units)
    what = f"the mask of {source}" if len(masks) == 1 else f"{len(masks)} masks of {source}"
    whole = len(points) == sum(stratum.size for stratum in strata)
    all_there_are = ", which are all there are" if whole else ""
    print(f"{len(points)} {units} of {what}{all_there_are}: {', '.join(map(str, written))}")
