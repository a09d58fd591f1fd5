"""Judge the masks of one image: bands that are kept, files in the end, and a record that says that all is there."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from segassess.errors import InputError
from segassess.files import atomic_path, only_one, remove_empty, remove_leftovers, write_json
from segassess.findings.judged_mask import JudgedMask
from segassess.outputs.panel import render_panel
from segassess.outputs.rasters import NODATA, PROBABILITY_STEPS
from segassess.outputs.review_record import keep_review
from segassess.predict.bands import BandStore
from segassess.predict.progress import SceneProgress
from segassess.predict.request import Request
from segassess.predict.scene import Scene, judge_bands, open_scene, write_mask_results
from segassess.raster.pairs import Pair, safe_name

log = logging.getLogger(__name__)

RECORD = "scores.json"
WORK = ".work"
# A picture is made of at most about so many pixels.
PANEL_PIXELS = 4_000_000


@dataclass(frozen=True)
class JudgedPair:
    """What came of the masks of one image.

    Attributes:
        rows: of scores, one per mask.
        trouble: a sentence on what is wrong with the image although it was judged, or None.
        earlier: whether it was complete from an earlier run.
    """

    rows: Sequence[Mapping[str, Any]]
    trouble: str | None = None
    earlier: bool = False


def judge_pair(pair: Pair, request: Request, folder: Path, progress: SceneProgress | None = None) -> JudgedPair:
    """Judge all masks of one image and write their files.

    Files of the only mask lie in `folder`, those of several in a subfolder per source. What was judged is kept in a subfolder
    until all is written, so that the same request goes on where it was interrupted.

    Raises:
        InputError: if image or mask cannot be used; nothing of this pair is written then.
        OutputError: if there is no room for what is written; what was judged is kept.
    """
    progress = progress or SceneProgress()
    fingerprint = request.fingerprint(pair)
    sources = request.sources(pair)
    store = BandStore(folder / WORK, fingerprint, list(sources))
    # From here on until its end, what an earlier run left is not a complete result of this request.
    (folder / RECORD).unlink(missing_ok=True)
    try:
        with _open(pair, request) as scene, only_one(folder / WORK):
            store.remove_others()
            for source in sources:
                remove_leftovers(mask_folder(folder, source, len(sources)))
            remove_leftovers(folder)
            for note in scene.notes:
                log.info("Note: %s", note)
            tiling = request.judge.tiling
            bands = len(tiling.bands(scene.grid.height))
            kept = sum(map(store.has, range(bands))) * len(tiling.spans(scene.grid.width))
            progress.start(scene.size, tiling, kept)
            judge_bands(scene, request.judge, store, on_window=progress.window)
            if not any(store.valid_pixels(source, bands) for source in sources):
                store.clear()
                masks = " or ".join(dict.fromkeys(source.path for source in sources.values()))
                raise InputError(
                    f"{pair.image} has no valid pixel in common with {masks} (nodata, NaN, transparent or elsewhere)."
                )
            judged = _write_all(pair, request, scene, store, folder)
            write_json(folder / RECORD, {"fingerprint": fingerprint, "rows": _stored(judged.rows), "trouble": judged.trouble})
            store.clear()
    finally:
        # What was judged is kept for another try; a folder in which nothing was is not.
        remove_empty(folder / WORK)
    return judged


def judge_part(pair: Pair, request: Request, folder: Path, bands: range, progress: SceneProgress) -> None:
    """Judge some bands of an image, and leave them to `judge_pair`, which another process calls when all are there.

    Raises:
        InputError: if image or mask cannot be used.
        OutputError: if there is no room for what is written.
    """
    store = BandStore(folder / WORK, request.fingerprint(pair), list(request.sources(pair)))
    with _open(pair, request) as scene:
        progress.start((_rows(request, scene, bands), scene.grid.width), request.judge.tiling)
        judge_bands(scene, request.judge, store, bands.__contains__, progress.window)


def remove_work(pair: Pair, request: Request, folder: Path) -> None:
    """Remove what a process that was killed at the very end, when all was written, could not remove any more."""
    if not (folder / WORK).is_dir():
        return
    with suppress(InputError), only_one(folder / WORK):  # another process at work there removes it itself
        BandStore(folder / WORK, request.fingerprint(pair), list(request.sources(pair))).clear()
    remove_empty(folder / WORK)


def _rows(request: Request, scene: Scene, bands: range) -> int:
    spans = request.judge.tiling.bands(scene.grid.height)
    return spans[bands[-1]][1] - spans[bands[0]][0]


def work_of(pair: Pair, request: Request) -> tuple[int, int]:
    """Number of bands of an image, and of windows in each; 1 and 1 where it cannot be opened.

    Whoever judges it will say why it cannot.
    """
    try:
        with _open(pair, request) as scene:
            tiling = request.judge.tiling
            return len(tiling.bands(scene.grid.height)), len(tiling.spans(scene.grid.width))
    except InputError:
        return 1, 1


def complete_result(pair: Pair, request: Request, folder: Path) -> JudgedPair | None:
    """An earlier, complete result of the same request; None if there is none.

    The record is written last, so where it is, the files are complete.

    Raises:
        InputError: if an input is not there.
    """
    fingerprint = request.fingerprint(pair)
    try:
        content: Mapping[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if content.get("fingerprint") != fingerprint:
        return None
    rows = [{name: math.nan if value is None else value for name, value in row.items()} for row in content["rows"]]
    return JudgedPair(rows, content.get("trouble"), earlier=True)


def mask_folder(folder: Path, source: str, sources: int) -> Path:
    """Where the files of a mask lie, of so many of one image."""
    return folder if sources == 1 else folder / safe_name(source)


def _open(pair: Pair, request: Request) -> AbstractContextManager[Scene]:
    sources = request.sources(pair)
    labels = {source: each.label for source, each in sources.items() if each.label is not None}
    return open_scene(pair.image, {source: each.path for source, each in sources.items()}, request.judge.rendering, labels)


def _write_all(pair: Pair, request: Request, scene: Scene, store: BandStore, folder: Path) -> JudgedPair:
    rows, trouble = [], None
    sources = request.sources(pair)
    for source in sources:
        place = mask_folder(folder, source, len(sources))
        judged = write_mask_results(scene, source, request.judge, store, place)
        if request.report:
            keep_review(scene, pair.name, source, judged, place, request.report_pictures)
        if request.panel:
            _write_panel(scene, source, request, judged, place, f"{pair.name} ({source})")
        rows.append({"name": pair.name, "source": source, **judged.scores})
        if judged.unreadable:
            trouble = (
                f"{judged.unreadable:,} of {scene.grid.height * scene.grid.width:,} pixels of {pair.image} cannot be read and "
                "are not assessed; the rest is judged."
            )
    return JudgedPair(rows, trouble)


def _stored(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


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
