"""Stand for a reviewer where the ground truth is known: answer a sample or a queue from it, and say how good masks are.

Usage: python -m segassess.cli.reviewer truth=PATH input=DIR [key=value ...]

  truth=PATH   the ground truth: of a sample any raster or layer, of a queue a layer of polygons
  input=DIR    output_dir of `segassess predict`
  sample=DIR   a sample of one image: fills what its sample.csv asks; objects and blocks need a layer of polygons
  queue=DIR    of maproulette: writes answers.csv, with a yes for what the truth confirms
  masks=FILES  rasters or layers, such as a mended one: prints the IoU of each with the truth on the image
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from segassess.cli.keys import PREDICTED, Key, read_keys
from segassess.errors import ConfigError, RequestError, SegAssessError
from segassess.evaluation.sampled_accuracy.objects import listed_objects, middles_of
from segassess.evaluation.sampled_accuracy.sample_files import BLOCKS, LAYER, PIXELS, TABLE, Sample, read_sample
from segassess.experiments.exits import stop
from segassess.findings.object_scores import MISSED
from segassess.outputs.judged_folder import JudgedFolder, judged_folders
from segassess.outputs.review_queue.findings import KINDS
from segassess.raster import Grid, open_mask
from segassess.raster.grid import apply_to_all, transformed
from segassess.raster.opening import opened
from segassess.raster.vectors import read_polygons
from segassess.spreadsheets import read_rows, write_rows

KEYS = {
    "truth": Key(needed="give the ground truth as truth=PATH"),
    "input": PREDICTED,
    "sample": Key(),
    "queue": Key(),
    "masks": Key(),
}
# Share of an outline from which the truth has it.
_COVERED = 0.5


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    keys = read_keys("reviewer", KEYS, arguments)
    if not (keys["sample"] or keys["queue"] or keys["masks"]):
        raise ConfigError("There is nothing to do; give sample=DIR, queue=DIR or masks=FILE.")
    masks = {mask.name: mask for mask in judged_folders(Path(keys["input"]))}
    with opened(next(iter(masks.values())).require("quality.tif")) as quality:
        grid = Grid.of(quality)
    if keys["sample"]:
        folder = Path(keys["sample"])
        sample = read_sample(folder)
        if sample.units == PIXELS:
            answer_sample(folder / TABLE, keys["truth"], grid)
        else:
            answer_objects(folder, sample, list(masks.values()), keys["truth"], grid)
    if keys["queue"]:
        answer_queue(Path(keys["queue"]), keys["truth"], grid)
    for path in keys["masks"].split(",") if keys["masks"] else ():
        print(f"IoU {iou(path, keys['truth'], grid):.3f}: {path}")


def iou(path: str, truth: str, grid: Grid) -> float:
    """IoU of a mask with the truth, on the grid of the image; NaN where both are empty."""
    with open_mask(path, grid) as first, open_mask(truth, grid) as second:
        mask, actual = first.read()[0], second.read()[0]
    either = np.count_nonzero(mask | actual)
    return np.count_nonzero(mask & actual) / either if either else float("nan")


def answer_sample(path: Path, truth: str, grid: Grid) -> None:
    """Fill the column `answer` of a sample of one image from the truth on its grid."""
    rows = [row for _, row in read_rows(path, ("id", "row", "column"))]
    with open_mask(truth, grid) as mask:
        pixels, _ = mask.read()
    for row in rows:
        row["answer"] = "object" if pixels[int(row["row"]), int(row["column"])] else "background"
    write_rows(path, list(rows[0]), rows)
    print(f"{len(rows)} points answered: {path}")


def answer_objects(folder: Path, sample: Sample, masks: Sequence[JudgedFolder], truth: str, grid: Grid) -> None:
    """Fill a sample of objects or blocks of one image: a right outline and an object of the truth share half of their union."""
    polygons, _, _ = read_polygons(truth, grid)
    rows = [row for _, row in read_rows(folder / TABLE, ("id", "row", "column"))]
    if sample.units == BLOCKS:
        listed = [each for each in listed_objects(masks) if each.kind != KINDS[MISSED]]
        outlines = np.array([each.outline_px for each in listed], object)
        of_outline, of_truth = _matches(outlines, polygons)
        middles, true_middles = (middles_of(each, (grid.height, grid.width)) for each in (outlines, polygons))
        found = np.isin(np.arange(len(polygons)), of_truth)
        for row in rows:
            left, top, right, bottom = sample.blocks[row["id"]][1]
            box = shapely.box(left, top, np.nextafter(right, left), np.nextafter(bottom, top))
            here = np.flatnonzero(shapely.covers(box, middles))
            row["wrong"] = str(np.count_nonzero(~np.isin(here, of_outline)))
            row["missed"] = str(np.count_nonzero(shapely.covers(box, true_middles) & ~found))
    else:
        if not (folder / LAYER).is_file():
            raise RequestError(f"{folder} has no {LAYER}, as its image has no CRS; draw units=pixels or units=blocks.")
        layer = pyogrio.raw.read(folder / LAYER, columns=["id"])
        shown = dict(zip(layer[3][0], shapely.from_wkb(layer[2]), strict=True))
        outlines = np.array([_in_pixels(shown[row["id"]], grid) for row in rows], object)
        of_outline, _ = _matches(outlines, polygons)
        for index, row in enumerate(rows):
            row["answer"] = "object" if index in of_outline else "background"
    write_rows(folder / TABLE, list(rows[0]), rows)
    print(f"{len(rows)} {sample.units} answered: {folder / TABLE}")


def _matches(outlines: NDArray[Any], polygons: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of outlines and polygons that share at least half of what both cover."""
    first, second = shapely.STRtree(polygons).query(outlines, predicate="intersects")
    shared = shapely.area(shapely.intersection(outlines[first], polygons[second]))
    union = shapely.area(outlines[first]) + shapely.area(polygons[second]) - shared
    alike = shared >= _COVERED * union
    return first[alike], second[alike]


def answer_queue(queue: Path, truth: str, grid: Grid) -> None:
    """Write `answers.csv`: of each finding whether the truth covers at least half of a missed outline, or less of another."""
    path = queue / "tasks.geojson"
    if not path.is_file() or not path.read_text(encoding="utf-8").startswith("\x1e"):
        raise RequestError(f"{queue} is no queue of findings for MapRoulette; make one by segassess queue to=maproulette.")
    polygons, _, _ = read_polygons(truth, grid)
    tree = shapely.STRtree(polygons)
    rows = []
    # A record separator, which splitlines() would take for the end of a line, begins each record.
    for record in path.read_text(encoding="utf-8").split("\x1e")[1:]:
        (task,) = json.loads(record)["features"]
        outline = _in_pixels(shapely.from_geojson(json.dumps(task["geometry"])), grid)
        near = shapely.union_all(polygons[tree.query(outline, predicate="intersects")])
        shared, whole = shapely.area(shapely.intersection(outline, near)), shapely.area(outline)
        covered = bool(shared >= _COVERED * whole)
        right = covered if task["properties"]["kind"] == "missed" else not covered
        rows.append({"id": task["id"], "accept": "yes" if right else "no"})
    write_rows(queue / "answers.csv", ("id", "accept"), rows)
    print(f"{len(rows)} findings answered, {sum(row['accept'] == 'yes' for row in rows)} right: {queue / 'answers.csv'}")


def _in_pixels(outline: shapely.Geometry, grid: Grid) -> shapely.Geometry:
    assert grid.georeference is not None, "a queue of findings is of an image with a CRS"
    back, crs = ~grid.georeference.transform, grid.georeference.crs

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return apply_to_all(back, transformed(points, CRS.from_epsg(4326), crs))

    return shapely.make_valid(shapely.transform(outline, place))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SegAssessError as error:
        stop(error)
