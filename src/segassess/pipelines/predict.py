"""`predict.py`: judge masks of images, no truth needed."""

import hashlib
import json
import logging
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from segassess import __version__, quality
from segassess.assessor.artifact import LoadedAssessor
from segassess.errors import InputError, RequestError, SomeInputsFailed
from segassess.files import atomic_path
from segassess.inference.objects import score_objects, write_objects
from segassess.inference.pairs import FailedInput, Pair, find_pairs
from segassess.inference.scores import estimated_scores, write_scores
from segassess.inference.tiling import assess_raster
from segassess.inference.writers import write_error, write_quality, write_refined
from segassess.pipelines import build
from segassess.pipelines.segmenter import draw
from segassess.raster import ImageRaster, MaskRaster, check_pair, is_remote, read_image, read_mask
from segassess.reporting.panel import render_panel
from segassess.reporting.tables import number

log = logging.getLogger(__name__)

RECORD = "scores.json"
OBJECTS = "objects.csv"
SHOWN = 15


@dataclass(frozen=True)
class Judge:
    """A loaded assessor, ready to judge.

    Attributes:
        loaded: the assessor and what it is.
        device: where it computes.
        panel: whether a picture is written as well.
    """

    loaded: LoadedAssessor
    device: torch.device
    panel: bool

    @property
    def tags(self) -> dict[str, str]:
        """What every raster says of its origin."""
        return {
            "SEGASSESS_VERSION": __version__,
            "SEGASSESS_CHECKPOINT": self.loaded.digest,
            "SEGASSESS_DECODING": self.loaded.description.decoding,
        }


def run(config: DictConfig) -> None:
    """Do the task that the config names: judge masks, or draw a segmenter's."""
    tasks: dict[str, Callable[[DictConfig], object]] = {"assessor": judge_masks, "segmenter": draw}
    tasks[config.task](config)


def judge_masks(config: DictConfig) -> None:
    """Judge all pairs; one folder each, a table of scores, a record of the run.

    Raises:
        SomeInputsFailed: at the end, if some inputs failed; all others are done.
    """
    if not config.output_dir:
        raise RequestError("output_dir is empty; give the folder that results go to.")
    found = find_pairs(config.image, config.mask)
    loaded = build.stored_assessor(config)
    judge = Judge(loaded, build.device(config.trainer), bool(config.panel))
    loaded.assessor.to(judge.device)
    output = Path(config.output_dir)
    _write_json(output / "run.json", _about(config, loaded))
    for path in found.unmatched:
        log.warning("%s has no image of the same name and is left out.", path)
    rows, failures = _judge_all(found.pairs, judge, output, bool(config.overwrite))
    failures = [*found.failures, *failures]
    write_scores(output / "scores.csv", rows)
    if rows:
        _print_worst(rows, output)
    if len(failures) > 1:  # a single one is named by the error itself
        for failure in failures:
            log.error("%s: %s", failure.name, failure.reason)
    if failures:
        raise SomeInputsFailed(
            f"{len(failures)} of {len(found.pairs) + len(found.failures)} inputs failed: {failures[0].name}: {failures[0].reason}"
        )


def _judge_all(
    pairs: tuple[Pair, ...], judge: Judge, output: Path, overwrite: bool
) -> tuple[list[dict[str, Any]], list[FailedInput]]:
    rows: list[dict[str, Any]] = []
    failures: list[FailedInput] = []
    skipped = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        task = progress.add_task("Judging masks", total=len(pairs))
        for pair in pairs:
            progress.update(task, description=f"Judging {pair.name}")
            done = progress.tasks[0].completed
            folder = output / pair.name
            try:
                fingerprint = _fingerprint(pair, judge)
                judged = None if overwrite else _complete(folder, fingerprint)
                skipped += judged is not None
                if judged is None:
                    judged = judge_pair(pair, judge, folder, fingerprint, lambda share: progress.advance(task, share))
                rows += judged
            except InputError as error:
                failures.append(FailedInput(pair.name, str(error)))
            except MemoryError:
                failures.append(FailedInput(pair.name, f"{pair.image} does not fit into memory; cut it into smaller rasters."))
            progress.update(task, completed=round(done) + 1)
    if skipped:
        log.info("%d of %d were complete from an earlier run and skipped; overwrite=true judges them anew.", skipped, len(pairs))
    return rows, failures


def judge_pair(
    pair: Pair, judge: Judge, folder: Path, fingerprint: str, on_window: Callable[[float], None] = lambda share: None
) -> list[dict[str, Any]]:
    """Judge all masks of one image and write their files.

    Files of the only mask lie in `folder`, those of several in a subfolder per source.

    Returns:
        A row of scores per mask.

    Raises:
        InputError: if image or mask cannot be used; nothing of this pair is written then.
    """
    # From here on until its end, what an earlier run left is not a complete result of this request.
    (folder / RECORD).unlink(missing_ok=True)
    image = read_image(pair.image)
    masks = {source: read_mask(path) for source, path in pair.masks.items()}
    for mask in masks.values():
        check_pair(image, mask)
    if not image.valid.any():
        raise InputError(f"{pair.image} has no valid pixel (all nodata, NaN or transparent).")
    rasters: list[ImageRaster | MaskRaster] = [image, *masks.values()]
    for raster in rasters:
        for note in raster.notes:
            log.info("Note: %s: %s", raster.path, note)
    decoding = judge.loaded.description.decoding
    results = assess_raster(
        judge.loaded.assessor, image.pixels, [mask.pixels for mask in masks.values()], decoding, judge.device, on_window
    )
    rows = []
    for (source, mask), probabilities in zip(masks.items(), results, strict=True):
        place = folder if len(masks) == 1 else folder / source
        rows.append(_write_mask(pair.name, source, image, mask, probabilities, judge, place))
    stored = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    _write_json(folder / RECORD, {"fingerprint": fingerprint, "rows": stored})
    return rows


def _write_mask(
    name: str, source: str, image: ImageRaster, mask: MaskRaster, probabilities: NDArray[np.float32], judge: Judge, folder: Path
) -> dict[str, Any]:
    valid = image.valid & mask.valid
    classes = torch.from_numpy(probabilities).unsqueeze(0)
    calibration = judge.loaded.description.calibration
    calibrated = calibration(classes)
    decoded, error = quality.decode(calibration.for_decisions(classes))[0], quality.error_map(calibrated)[0].numpy()
    refined = quality.refine(torch.from_numpy(mask.pixels), decoded).numpy()
    codes = np.where(valid, decoded.numpy(), quality.NOT_ASSESSED).astype(np.uint8)
    height, width = valid.shape
    area = None if image.georeference is None else image.georeference.pixel_area_m2(height, width)
    scores = estimated_scores(calibrated[0], valid, area)
    objects = score_objects(calibrated[0].numpy(), decoded.numpy(), mask.pixels, valid, pixel_area_m2=area)
    write_quality(folder / "quality.tif", codes, image.georeference, judge.tags)
    write_error(folder / "error.tif", error, valid, image.georeference, judge.tags)
    write_refined(folder / "refined.tif", refined, valid, image.georeference, judge.tags)
    write_objects(folder / OBJECTS, objects)
    if judge.panel:
        note = f"Estimates without ground truth; {judge.loaded.description.decoding} decoding."
        known_error = np.where(valid, error, np.nan)
        title, iou = f"{name} ({source})", scores["estimated_iou"]
        picture = render_panel(image.pixels, mask.pixels, codes, known_error, title, [note], estimated_iou=iou)
        with atomic_path(folder / "panel.png") as temporary:
            picture.save(temporary)
    return {"name": name, "source": source, **scores}


def _fingerprint(pair: Pair, judge: Judge) -> str:
    """What a result depends on: inputs (path, size, time), checkpoint, decoding, version, and which files are written."""
    parts: list[Any] = [judge.tags, judge.panel, OBJECTS]
    for path in (pair.image, *pair.masks.values()):
        if is_remote(path):
            parts.append(path)
            continue
        try:
            status = Path(path).stat()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from error
        parts.append((str(Path(path).resolve()), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps([*parts, sorted(pair.masks)]).encode()).hexdigest()


def _complete(folder: Path, fingerprint: str) -> list[dict[str, Any]] | None:
    """Rows of an earlier, complete result of the same request; None if there is none.

    The record is written last, so where it is, the files are complete.
    """
    record = folder / RECORD
    if not record.is_file():
        return None
    try:
        content: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return None
    if content.get("fingerprint") != fingerprint:
        return None
    return [{name: math.nan if value is None else value for name, value in row.items()} for row in content["rows"]]


def _about(config: DictConfig, loaded: LoadedAssessor) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rasterio": rasterio.__version__,
        "checkpoint": Path(config.checkpoint).name,
        "checkpoint_digest": loaded.digest,
        "assessor": loaded.description.as_dict(),
        "config": {key: value for key, value in build.plain(config).items() if key not in ("paths", "trainer")},
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _print_worst(rows: list[dict[str, Any]], output: Path) -> None:
    table = Table(title=f"Worst masks first (estimates; {len(rows)} in all)")
    for heading in ("name", "source", "est. IoU", "est. F1", "precision", "recall", "error share"):
        table.add_column(heading, justify="left" if heading in ("name", "source") else "right")
    for row in sorted(rows, key=lambda row: row["estimated_iou"])[:SHOWN]:
        keys = "estimated_iou", "estimated_f1", "estimated_precision", "estimated_recall", "error_share"
        table.add_row(row["name"], row["source"], *(number(row[key]) for key in keys))
    Console(width=120).print(table)
    print(f"Maps, panels, objects.csv and scores.csv: {output}")
