"""`predict.py`: judge masks of images, no truth needed."""

import hashlib
import json
import logging
import math
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segassess import __version__
from segassess.assessor.artifact import LoadedAssessor
from segassess.errors import InputError, RequestError, SomeInputsFailed
from segassess.files import atomic_path, only_one, remove_empty
from segassess.inference.bands import BandStore
from segassess.inference.pairs import FailedInput, Pair, find_pairs, safe_name
from segassess.inference.scene import JudgedMask, OutputSettings, Scene, SceneJudge, judge_bands, open_scene, write_mask_results
from segassess.inference.scores import write_scores
from segassess.inference.tiling import Tiling
from segassess.inference.writers import NODATA, PROBABILITY_STEPS
from segassess.pipelines import build
from segassess.pipelines.review import keep_review, write_page
from segassess.pipelines.scene_progress import SceneProgress, ScenesBar, scenes_progress
from segassess.pipelines.segmenter import draw
from segassess.raster import Rendering, is_remote
from segassess.raster.vectors import LAYER
from segassess.reporting.panel import render_panel
from segassess.reporting.tables import number

log = logging.getLogger(__name__)

RECORD = "scores.json"
WORK = ".work"
SHOWN = 15
# A picture is made of at most about so many pixels.
PANEL_PIXELS = 4_000_000


@dataclass(frozen=True)
class Source:
    """A mask that is judged: its path, and the value that is foreground if it is a raster of classes."""

    path: str
    label: int | None = None


@dataclass(frozen=True)
class Request:
    """How a run judges, and what it leaves behind.

    Attributes:
        judge: how scenes are judged.
        loaded: the assessor and what it is.
        panel: whether a picture is written as well.
        report: whether the review page is written as well.
        report_pictures: of at most so many tiles, the worst.
        classes: values of masks that are rasters of classes, each judged against the rest; empty: masks are binary.
    """

    judge: SceneJudge
    loaded: LoadedAssessor
    panel: bool
    report: bool = False
    report_pictures: int = 0
    classes: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: DictConfig) -> "Request":
        """Read a config; loads the assessor.

        Raises:
            RequestError: if a value is not allowed.
        """
        loaded = build.stored_assessor(config)
        device = build.device(config.trainer)
        loaded.assessor.to(device)
        tags = {
            "SEGASSESS_VERSION": __version__,
            "SEGASSESS_CHECKPOINT": loaded.digest,
            "SEGASSESS_DECODING": loaded.description.decoding,
        }
        options = build.plain(config)
        judge = SceneJudge(
            assessor=loaded.assessor,
            decoding=loaded.description.decoding,
            calibration=loaded.description.calibration,
            device=device,
            tags=tags,
            tiling=Tiling(**options["tiling"]),
            rendering=Rendering(**{name: value and tuple(value) for name, value in options["rendering"].items()}),
            output=OutputSettings(**options["output"]),
        )
        return cls(
            judge, loaded, bool(config.panel), bool(config.report), int(config.report_pictures), tuple(options["classes"] or ())
        )

    def sources(self, pair: Pair) -> dict[str, Source]:
        """Path, and class if there are classes, of each mask that is judged."""
        if not self.classes:
            return {source: Source(path) for source, path in pair.masks.items()}
        before = {source: "" if len(pair.masks) == 1 else f"{source}_" for source in pair.masks}
        return {
            f"{before[source]}class_{label}": Source(path, label) for source, path in pair.masks.items() for label in self.classes
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
    found = find_pairs(config.image, build.plain(config.mask))
    request = Request.of(config)
    output = Path(config.output_dir)
    write_json(output / "run.json", _about(config, request.loaded))
    for path in found.unmatched:
        log.warning("%s has no image of the same name and is left out.", path)
    rows, failures = _judge_all(found.pairs, request, output, bool(config.overwrite))
    failures = [*found.failures, *failures]
    write_scores(output / "scores.csv", rows)
    if request.report and rows:
        about = (
            f"Estimates without ground truth by segassess {__version__}, assessor {request.loaded.digest}, "
            f"{request.judge.decoding} decoding. Worst tiles first."
        )
        if failures:
            about += f" Not judged: {'; '.join(f'{failure.name}: {failure.reason}' for failure in failures[:5])}"
        number = Counter(row["name"] for row in rows)
        places = [_place(output / row["name"], row["source"], number[row["name"]]) for row in rows]
        write_page(output, places, rows, about, request.report_pictures)
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
    pairs: tuple[Pair, ...], request: Request, output: Path, overwrite: bool
) -> tuple[list[dict[str, Any]], list[FailedInput]]:
    rows: list[dict[str, Any]] = []
    failures: list[FailedInput] = []
    skipped = 0
    with scenes_progress() as progress:
        bar = ScenesBar(progress, len(pairs))
        for pair in pairs:
            folder = output / pair.name
            try:
                with bar.scene(pair.name) as shown:
                    fingerprint = fingerprint_of(pair, request)
                    judged = None if overwrite else _complete(folder, fingerprint)
                    skipped += judged is not None
                    rows += judge_pair(pair, request, folder, fingerprint, shown) if judged is None else judged
            except InputError as error:
                failures.append(FailedInput(pair.name, str(error)))
            except MemoryError:
                failures.append(FailedInput(pair.name, f"{pair.image} does not fit into memory; set a smaller tiling.window."))
    if skipped:
        log.info("%d of %d were complete from an earlier run and skipped; overwrite=true judges them anew.", skipped, len(pairs))
    return rows, failures


def judge_pair(
    pair: Pair, request: Request, folder: Path, fingerprint: str, progress: SceneProgress | None = None
) -> list[dict[str, Any]]:
    """Judge all masks of one image and write their files.

    Files of the only mask lie in `folder`, those of several in a subfolder per source. What was judged is kept in a subfolder
    until all is written, so that the same request goes on where it was interrupted.

    Returns:
        A row of scores per mask.

    Raises:
        InputError: if image or mask cannot be used; nothing of this pair is written then.
    """
    # From here on until its end, what an earlier run left is not a complete result of this request.
    (folder / RECORD).unlink(missing_ok=True)
    sources, judge, progress = request.sources(pair), request.judge, progress or SceneProgress()
    labels = {source: each.label for source, each in sources.items() if each.label is not None}
    rows = []
    paths = {source: each.path for source, each in sources.items()}
    store = BandStore(folder / WORK, fingerprint, list(sources))
    try:
        with open_scene(pair.image, paths, judge.rendering, labels) as scene, only_one(folder / WORK):
            for note in scene.notes:
                log.info("Note: %s", note)
            store.open()
            bands = len(judge.tiling.bands(scene.grid.height))
            kept = sum(map(store.has, range(bands))) * len(judge.tiling.spans(scene.grid.width))
            progress.start(scene.size, judge.tiling, kept)
            judge_bands(scene, judge, store, on_window=progress.window)
            if not any(store.valid_pixels(source, bands) for source in sources):
                store.clear()
                masks = " or ".join(dict.fromkeys(paths.values()))
                raise InputError(
                    f"{pair.image} has no valid pixel in common with {masks} (nodata, NaN, transparent or elsewhere)."
                )
            for source in sources:
                place = _place(folder, source, len(sources))
                judged = write_mask_results(scene, source, judge, store, place)
                if request.report:
                    keep_review(scene, pair.name, source, judged, place, request.report_pictures)
                if request.panel:
                    _write_panel(scene, source, request, judged, place, f"{pair.name} ({source})")
                rows.append({"name": pair.name, "source": source, **judged.scores})
            _finish(folder, fingerprint, rows)
            store.clear()
    finally:
        # What was judged is kept for another try; a folder in which nothing was is not.
        remove_empty(folder / WORK)
    return rows


def _place(folder: Path, source: str, sources: int) -> Path:
    """Where the files of a mask lie, of so many of one image."""
    return folder if sources == 1 else folder / safe_name(source)


def _finish(folder: Path, fingerprint: str, rows: list[dict[str, Any]]) -> None:
    """Write the record that says that all is there."""
    stored = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    write_json(folder / RECORD, {"fingerprint": fingerprint, "rows": stored})


def _write_panel(scene: Scene, source: str, request: Request, judged: JudgedMask, folder: Path, title: str) -> None:
    """A picture of the whole scene, reduced where it is large."""
    with rasterio.open(folder / "quality.tif") as quality, rasterio.open(folder / "error.tif") as error:
        size = scene.overview_size(PANEL_PIXELS)
        codes = quality.read(1, out_shape=size)
        steps = error.read(1, out_shape=size)
    pixels, mask = scene.overview(source, size)
    known_error = np.where(steps == NODATA, np.nan, steps / np.float32(PROBABILITY_STEPS))
    note = f"Estimates without ground truth; {request.judge.decoding} decoding."
    iou = judged.scores["estimated_iou"]
    picture = render_panel(pixels, mask, codes, known_error, title, [note], estimated_iou=iou)
    with atomic_path(folder / "panel.png") as temporary:
        picture.save(temporary)


def fingerprint_of(pair: Pair, request: Request) -> str:
    """What a result depends on: inputs (path, size, time), checkpoint, decoding, version, how it is made and what is written."""
    judge = request.judge
    parts: list[Any] = [
        judge.tags,
        asdict(judge.tiling),
        asdict(judge.rendering),
        asdict(judge.output),
        request.panel,
        request.report_pictures if request.report else None,
        request.classes,
    ]
    for path in (pair.image, *pair.masks.values()):
        if is_remote(path):
            parts.append(path)
            continue
        file = path.split(LAYER)[0]
        try:
            status = Path(file).stat()
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}).") from error
        parts.append((str(Path(file).resolve()), path, status.st_size, status.st_mtime_ns))
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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record that appears whole."""
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
    print(f"Maps, layers of errors and objects, scores.csv and report.html: {output}")
