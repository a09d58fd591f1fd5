"""`evaluate.py task=damage`: how much of a known damage to a layer of polygons is found."""

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from omegaconf import DictConfig
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.cli.predict import judge_settings, with_fit
from segassess.evaluation.layer_damage import (
    EMPTIED,
    KINDS,
    OFFSET_M,
    REMOVED,
    DamagedLayer,
    PixelScores,
    damage_found,
    damage_layer,
    errors_right,
    shifts_found,
)
from segassess.files import write_json
from segassess.findings.by_reference import SHIFTED
from segassess.findings.object_scores import MISSED
from segassess.findings.table import FindingsTable
from segassess.outputs.judged_folder import JudgedFolder
from segassess.outputs.layers import write_layer
from segassess.outputs.mending import CHANGES, Acceptance, mend, write_mended
from segassess.outputs.tables import number
from segassess.predict.pair_job import PairJob
from segassess.predict.scene_job import SceneJudge
from segassess.quality import CLASS_NAMES, FN, FP
from segassess.raster import Grid, open_image
from segassess.raster.grid import apply_to_all
from segassess.raster.pairs import DEFAULT_SOURCE, Pair
from segassess.raster.vectors import burn, read_polygons

log = logging.getLogger(__name__)

# Rows that are compared at once.
_ROWS = 512
DAMAGED, DAMAGE, RESULT = "damaged.gpkg", "damage.gpkg", "damage.json"


def run(config: DictConfig) -> float:
    """Damage a layer, judge it and compare; returns the mean recall over all kinds of damage."""
    output = build.local_folder(config.output_dir)
    device = build.device(config.trainer)
    loaded = build.stored_assessor(config)
    judge = SceneJudge.of(loaded, device, **judge_settings(config, loaded))
    settings = build.plain(config.damage)
    with open_image(str(config.image), judge.rendering) as image:
        grid = image.grid
    polygons, _, notes = read_polygons(str(config.mask), grid)
    for note in notes:
        log.info("Note: %s: %s", config.mask, note)
    counts = {kind: int(settings[kind]) for kind in KINDS}
    if settings["share"] is not None:
        on_image = int(shapely.intersects(shapely.box(0, 0, grid.width, grid.height), polygons).sum())
        counts = dict.fromkeys(KINDS, round(on_image * float(settings["share"]) / len(KINDS)))
    low, high = settings["shift_px"]
    damaged = damage_layer(
        polygons,
        (grid.height, grid.width),
        counts,
        (low, high),
        np.random.default_rng(config.seed),
        float(settings["emptied_px"]),
    )
    done = {kind: damaged.kinds.count(kind) for kind in KINDS}
    if done != counts:
        numbers = ", ".join(f"{count} {kind} (of {counts[kind]} wanted)" for kind, count in done.items())
        log.info("The layer is too small or too dense for all the damage; it gets %s.", numbers)
    write_layer(output / DAMAGED, FindingsTable({}, damaged.polygons), grid.georeference)
    classes = {FP: damaged.false, FN: damaged.missing}
    pieces = np.concatenate(list(classes.values()))
    columns = {
        "kind": np.array(damaged.kinds * 2, object),
        "quality": np.array([CLASS_NAMES[code] for code, shapes in classes.items() for _ in shapes], object),
    }
    there = shapely.area(pieces) > 0
    made = FindingsTable({name: values[there] for name, values in columns.items()}, pieces[there])
    write_layer(output / DAMAGE, made, grid.georeference)
    pair = Pair("judged", str(config.image), {DEFAULT_SOURCE: str(output / DAMAGED)})
    (job,) = with_fit(config, [PairJob(pair, judge, output / pair.name)], output, device)
    (scores,) = job.run().rows
    found, right = {}, {}
    for code, shapes in classes.items():
        errors, forms = _polygons(output / pair.name / "errors.gpkg", grid, ("error", "form"), f"quality = '{CLASS_NAMES[code]}'")
        found[CLASS_NAMES[code]] = damage_found(damaged.kinds, shapes, errors)
        for form in dict.fromkeys(forms):
            right[f"{CLASS_NAMES[code]} {form}"] = errors_right(shapes, errors[forms == form])
    missed, _ = _polygons(output / pair.name / "objects.gpkg", grid, ("object", "verdict"), f"verdict = '{MISSED}'")
    listed = damage_found(damaged.kinds, damaged.missing, missed)
    found[MISSED] = {kind: listed[kind] for kind in (EMPTIED, REMOVED) if kind in listed}
    ious = _pixel_iou(polygons, damaged.polygons, output / pair.name)
    result: dict[str, Any] = {"found": found, "errors": right, "pixels": ious, "estimated_iou": scores["estimated_iou"]}
    _print(found, right)
    print(f"IoU of pixels: FP {number(ious['FP'])}, FN {number(ious['FN'])}, mean {number(float(np.mean(list(ious.values()))))}.")
    mending = _mended(output, polygons, damaged.polygons, grid)
    result["mended"] = mending
    changes = ", ".join(f"{mending[change]} {change}" for change in CHANGES)
    before, after = number(mending["before"]), number(mending["after"])
    print(f"IoU of the layer with the one before the damage: {before}, mended {after} ({changes}).")
    verdicts = _verdicts(output / pair.name / "polygons.gpkg", damaged)
    result["verdicts"] = verdicts.counts
    _print_verdicts(verdicts.counts)
    if job.fits:
        side = math.sqrt(grid.pixel_area_m2 or math.nan)
        shifts = shifts_found(verdicts.back, verdicts.offsets, verdicts.called == SHIFTED, side)
        result["shifts"] = asdict(shifts)
        print(f"Of {shifts.shifted} shifted polygons {shifts.near} have their offset to {OFFSET_M:g} m.")
    write_json(output / RESULT, result)
    recalls = [each["recall"] for code in classes for each in found[CLASS_NAMES[code]].values()]
    return float(np.mean(recalls)) if recalls else 0.0


def _polygons(path: Path, grid: Grid, columns: tuple[str, str], where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Polygons in pixel coordinates and their second column, sorted by the first."""
    _, _, geometry, (rank, forms) = pyogrio.raw.read(path, layer=path.stem, columns=list(columns), where=where)
    order = np.argsort(rank)
    shapes, forms = shapely.from_wkb(geometry)[order], forms[order]
    if grid.georeference is None:
        return shapes, forms
    to_pixels = ~grid.georeference.transform
    return shapely.transform(shapes, lambda points: apply_to_all(to_pixels, points)), forms


def _pixel_iou(before: NDArray[Any], after: NDArray[Any], folder: Path) -> dict[str, float]:
    scores = PixelScores()
    with rasterio.open(folder / "quality.tif") as quality:
        for top in range(0, quality.height, _ROWS):
            bottom = min(top + _ROWS, quality.height)
            codes = quality.read(1, window=Window(0, top, quality.width, bottom - top))
            scores.add(codes, *(burn(layer, 0, top, quality.width, bottom) for layer in (before, after)))
    return scores.iou()


def _mended(output: Path, true: NDArray[Any], damaged: NDArray[Any], grid: Grid) -> dict[str, Any]:
    """IoU of the damaged and of the mended layer with the true one, on the image, and what was changed by default limits."""
    judged = JudgedFolder("judged", DEFAULT_SOURCE, output / "judged")
    mended = mend(str(output / DAMAGED), judged, Acceptance())
    (layer, *_) = write_mended(output / "mended", mended, "mended")
    after, _, _ = read_polygons(str(layer), grid)
    both, either = np.zeros((2, 2), np.int64)
    for top in range(0, grid.height, _ROWS):
        bottom = min(top + _ROWS, grid.height)
        truth, *others = (burn(each, 0, top, grid.width, bottom) for each in (true, damaged, after))
        both += [(truth & other).sum() for other in others]
        either += [(truth | other).sum() for other in others]
    with np.errstate(invalid="ignore"):
        before, later = (both / either).tolist()
    return {"before": before, "after": later, **mended.counts()}


@dataclass(frozen=True)
class _Verdicts:
    """What was said of the polygons (N,) of the damaged layer."""

    called: NDArray[Any]
    offsets: NDArray[np.float64]  # (N, 2) in pixels, NaN where none was found
    back: NDArray[np.float64]  # (N, 2), see `DamagedLayer`
    counts: dict[str, dict[str, int]]  # by what was done and what it is called


def _verdicts(path: Path, damaged: DamagedLayer) -> _Verdicts:
    about, _, _, values = pyogrio.raw.read(path, layer=path.stem, read_geometry=False)
    columns = dict(zip(about["fields"], values, strict=True))
    # Features are numbered from 1 in the order of the layer.
    index, called = columns["feature"] - 1, columns["verdict"]
    unknown = np.full(len(index), np.nan)
    offsets = np.stack([columns.get(name, unknown) for name in ("shift_x_px", "shift_y_px")], axis=1)
    names = list(dict.fromkeys(sorted(called)))
    counts = {
        str(kind): {str(name): int(((damaged.done[index] == kind) & (called == name)).sum()) for name in names}
        for kind in dict.fromkeys(damaged.done)
    }
    return _Verdicts(called, offsets, damaged.back[index], counts)


def _print_verdicts(counts: dict[str, dict[str, int]]) -> None:
    table = Table(title="Polygons of the damaged layer: what was done to them, and what they are called")
    names = next(iter(counts.values()), {})
    for heading in ("done", "polygons", *names):
        table.add_column(heading, justify="left" if heading == "done" else "right")
    for kind, row in counts.items():
        table.add_row(kind, str(sum(row.values())), *(str(row[name]) for name in names))
    Console(width=120).print(table)


def _print(found: dict[str, dict[str, dict[str, float]]], right: dict[str, dict[str, float]]) -> None:
    recall = Table(title="Damage that polygons cover by at least a half: errors of a class, and missed objects")
    for heading in ("polygons", "damage", "pieces", "found", "recall"):
        recall.add_column(heading, justify="left" if heading in ("polygons", "damage") else "right")
    for quality, kinds in found.items():
        for kind, row in kinds.items():
            recall.add_row(quality, kind, str(row["pieces"]), str(row["found"]), number(row["recall"]))
    precision = Table(title="Error polygons that damage covers by at least a half")
    for heading in ("class and form", "polygons", "right", "precision", "of the worst*"):
        precision.add_column(heading, justify="left" if heading == "class and form" else "right")
    for quality, row in right.items():
        precision.add_row(
            quality, str(row["polygons"]), str(row["right"]), number(row["precision"]), number(row["precision_of_worst"])
        )
    console = Console(width=120)
    console.print(recall)
    console.print(precision)
    print("* As many as there are pieces of damage. Errors already in the layer count as wrong, though they may be real.")
