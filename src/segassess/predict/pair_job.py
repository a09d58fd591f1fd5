"""Judge the masks of one image into a folder: bands that are kept, files in the end, and a record that says that all is there."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from segassess.errors import InputError
from segassess.files import atomic_path, only_one, remove_empty, remove_leftovers, write_json
from segassess.findings.judged_mask import JudgedMask
from segassess.interrupts import raise_if_interrupted
from segassess.outputs.panel import render_panel
from segassess.outputs.review_record import keep_review, reviewed_mask
from segassess.predict.bands import BandStore
from segassess.predict.progress import SceneProgress
from segassess.predict.scene import Source, open_scene
from segassess.predict.scene_job import SceneJob, SceneJudge
from segassess.raster import is_remote
from segassess.raster.pairs import Pair, safe_name
from segassess.raster.vectors import LAYER

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


@dataclass(frozen=True)
class PairJob:
    """An image and its masks to be judged into a folder.

    Files of the only mask lie in the folder, those of several in a subfolder per source. What was judged is kept in a subfolder
    until all is written, so that the same job goes on where it was interrupted.

    Attributes:
        pair: image and masks.
        judge: how they are judged.
        folder: where files go.
    """

    pair: Pair
    judge: SceneJudge
    folder: Path

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The masks that are judged; of rasters of classes one for each class."""
        masks, classes = self.pair.masks, self.judge.classes
        if not classes:
            return {source: Source(path) for source, path in masks.items()}
        before = {source: "" if len(masks) == 1 else f"{source}_" for source in masks}
        return {f"{before[source]}class_{label}": Source(path, label) for source, path in masks.items() for label in classes}

    @cached_property
    def fingerprint(self) -> str:
        """What a result depends on: inputs (path, size, time), checkpoint, decoding, version, how it is made, what is written.

        Raises:
            InputError: if an input is not there.
        """
        judge = self.judge
        parts: list[Any] = [
            judge.tags,
            asdict(judge.tiling),
            asdict(judge.rendering),
            asdict(judge.output),
            judge.probe_squares,
            judge.panel,
            judge.report_pictures if judge.report else None,
            judge.classes,
            sorted(self.pair.masks),
        ]
        parts += [_identity(path) for path in (self.pair.image, *self.pair.masks.values())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @cached_property
    def store(self) -> BandStore:
        """Where bands are kept."""
        return BandStore(self.folder / WORK, self.fingerprint, list(self.sources))

    @contextmanager
    def open(self) -> Iterator[SceneJob]:
        """Open image and masks.

        Raises:
            InputError: if one of them cannot be used.
        """
        with open_scene(self.pair.image, self.sources, self.judge.rendering) as scene:
            yield SceneJob(scene, self.judge, self.store)

    def run(self, progress: SceneProgress | None = None) -> JudgedPair:
        """Judge all masks and write their files.

        Raises:
            InputError: if image or mask cannot be used; nothing of this pair is written then.
            OutputError: if there is no room for what is written; what was judged is kept.
        """
        progress = progress or SceneProgress()
        # An input that is not there is said before anything changes.
        store = self.store
        # From here on until its end, what an earlier run left is not a complete result of this job.
        (self.folder / RECORD).unlink(missing_ok=True)
        try:
            with self.open() as job, only_one(self.folder / WORK):
                store.remove_others()
                for folder in {self.folder, *map(self.mask_folder, self.sources)}:
                    remove_leftovers(folder)
                for note in job.scene.notes:
                    log.info("Note: %s", note)
                kept = sum(map(store.has, range(len(job.spans)))) * len(self.judge.tiling.spans(job.scene.grid.width))
                progress.start(job.scene.size, self.judge.tiling, kept)
                job.judge_bands(on_window=progress.window)
                try:
                    job.require_pixels()
                except InputError:
                    store.clear()
                    raise
                judged = self._write_all(job)
                content = {"fingerprint": self.fingerprint, "rows": _stored(judged.rows), "trouble": judged.trouble}
                write_json(self.folder / RECORD, content)
                store.clear()
        finally:
            # What was judged is kept for another try; a folder in which nothing was is not.
            remove_empty(self.folder / WORK)
        return judged

    def judge_part(self, bands: range, progress: SceneProgress) -> None:
        """Judge some bands, and leave them to `run`, which another process calls when all are there.

        Raises:
            InputError: if image or mask cannot be used.
            OutputError: if there is no room for what is written.
        """
        with self.open() as job:
            rows = job.spans[bands[-1]][1] - job.spans[bands[0]][0]
            progress.start((rows, job.scene.grid.width), self.judge.tiling)
            job.judge_bands(bands.__contains__, progress.window)

    def work(self) -> tuple[int, int]:
        """Number of bands, and of windows in each.

        Raises:
            InputError: if image or mask cannot be used.
        """
        with self.open() as job:
            return len(job.spans), len(self.judge.tiling.spans(job.scene.grid.width))

    def earlier_result(self) -> JudgedPair | None:
        """An earlier, complete result of the same job; None if there is none.

        The record is written last, so where it is, the files are complete.

        Raises:
            InputError: if an input is not there.
        """
        fingerprint = self.fingerprint
        try:
            content: Mapping[str, Any] = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        if content.get("fingerprint") != fingerprint:
            return None
        rows = [{name: math.nan if value is None else value for name, value in row.items()} for row in content["rows"]]
        return JudgedPair(rows, content.get("trouble"), earlier=True)

    def remove_work(self) -> None:
        """Remove what a process that was killed at the very end, when all was written, could not remove any more."""
        if not (self.folder / WORK).is_dir():
            return
        with suppress(InputError), only_one(self.folder / WORK):  # another process at work there removes it itself
            self.store.clear()
        remove_empty(self.folder / WORK)

    def mask_folder(self, source: str) -> Path:
        """Where the files of a mask lie."""
        return mask_folder(self.folder, source, len(self.sources))

    def _write_all(self, job: SceneJob) -> JudgedPair:
        rows, trouble, name, scene = [], None, self.pair.name, job.scene
        for source in self.sources:
            folder = self.mask_folder(source)
            judged = job.write(source, folder)
            if self.judge.report:
                pictures = job.pictures(source, judged.tiles[: self.judge.report_pictures])
                keep_review(folder, reviewed_mask(name, source, scene.grid, judged.tiles, pictures))
            if self.judge.panel:
                self._write_panel(job, source, judged)
            raise_if_interrupted()
            rows.append({"name": name, "source": source, **judged.scores})
            if judged.unreadable:
                trouble = (
                    f"{judged.unreadable:,} of {scene.grid.height * scene.grid.width:,} pixels of {self.pair.image} cannot be "
                    "read and are not assessed; the rest is judged."
                )
        return JudgedPair(rows, trouble)

    def _write_panel(self, job: SceneJob, source: str, judged: JudgedMask) -> None:
        """A picture of the whole scene, reduced where it is large."""
        size = job.scene.overview_size(PANEL_PIXELS)
        note = f"Estimates without ground truth; {self.judge.decoding} decoding."
        iou, title = judged.scores["estimated_iou"], f"{self.pair.name} ({source})"
        picture = render_panel(job.scene.overview(size), *job.reduced(source, size), title, [note], estimated_iou=iou)
        with atomic_path(self.mask_folder(source) / "panel.png") as temporary:
            picture.save(temporary)


def mask_folder(folder: Path, source: str, sources: int) -> Path:
    """Where the files of a mask lie, of so many of one image."""
    return folder if sources == 1 else folder / safe_name(source)


def _stored(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


def _identity(path: str) -> Mapping[str, Any] | str:
    if is_remote(path):
        return path
    file = path.split(LAYER)[0]
    try:
        status = Path(file).stat()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    return {"file": str(Path(file).resolve()), "path": path, "size": status.st_size, "time": status.st_mtime_ns}
