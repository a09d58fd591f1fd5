"""Judge the masks of one image into a folder: bands first, then files, then a record that marks the result as complete."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from segassess.errors import InputError
from segassess.files import atomic_path, only_one, remove_empty, remove_leftovers, write_json
from segassess.findings.findings import LayerShift
from segassess.findings.judged_mask import JudgedMask
from segassess.interrupts import raise_if_interrupted
from segassess.models.calibration import Calibration
from segassess.outputs.panel import render_panel
from segassess.outputs.review_record import keep_review, reviewed_mask
from segassess.predict.band_stores import BandStore
from segassess.predict.bucket_folder import BucketFolder
from segassess.predict.progress import SceneProgress
from segassess.predict.scene import Source, identity, open_scene
from segassess.predict.scene_job import ALWAYS, ONLY_SOMETIMES, SceneJob, SceneJudge
from segassess.predict.windows import JoinsFit
from segassess.raster.pairs import Pair, safe_name

log = logging.getLogger(__name__)

RECORD = "scores.json"
WORK = ".work"
# A picture has about this many pixels at most.
PANEL_PIXELS = 4_000_000
# Of 9; higher ones take twice the time and more for a file that is smaller by a few percent.
_PNG_LEVEL = 2


@dataclass(frozen=True)
class JudgedPair:
    """The result for the masks of one image."""

    rows: Sequence[Mapping[str, Any]]  # scores, one row per mask
    trouble: str | None = None  # a sentence on what is wrong with the image although it was judged
    earlier: bool = False  # complete from an earlier run
    pixels: int = 0  # of the image, if it was judged now


@dataclass(frozen=True)
class PairJob:
    """An image and its masks to judge into a folder.

    Files of a single mask lie in the folder, those of several in a subfolder per source. Judged bands stay in a subfolder until
    all files are written, so that an interrupted job continues. In a bucket, a folder with a record is complete as well.
    """

    pair: Pair
    judge: SceneJudge
    folder: Path
    fits: Mapping[str, JoinsFit] = field(default_factory=dict)  # of the masks' layers, by source
    bucket: BucketFolder | None = None  # where the folder is uploaded to when it is complete

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The masks to judge; a raster of classes gives one per class."""
        masks, classes = self.pair.masks, self.judge.classes
        if not classes:
            return {source: Source(path) for source, path in masks.items()}
        before = {source: "" if len(masks) == 1 else f"{source}_" for source in masks}
        return {f"{before[source]}class_{label}": Source(path, label) for source, path in masks.items() for label in classes}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that a result depends on: inputs, checkpoint, settings, version; InputError if an input is missing."""
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
        parts += [(source, fit.identity) for source, fit in sorted(self.fits.items())]
        parts += [] if judge.recalibration == Calibration() else [judge.recalibration.as_dict()]
        parts += [identity(path) for path in (self.pair.image, *self.pair.masks.values())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @cached_property
    def store(self) -> BandStore:
        """Where bands are kept."""
        return BandStore(self.folder / WORK, self.fingerprint, list(self.sources))

    @contextmanager
    def open(self) -> Iterator[SceneJob]:
        """Open image and masks; raises InputError if one of them cannot be used."""
        with open_scene(self.pair.image, self.sources, self.judge.rendering) as scene:
            yield SceneJob(scene, self.judge, self.store, self.fits)

    def run(self, progress: SceneProgress | None = None) -> JudgedPair:
        """Judge all masks and write their files.

        Raises InputError if image or mask cannot be used (nothing of this pair is written then), OutputError if the disk is full
        (judged bands stay). If the upload fails, InputError is raised and all files stay.
        """
        progress = progress or SceneProgress()
        # Takes the fingerprint, so that a missing input stops the job before anything changes.
        store = self.store
        # Until the job ends, the files of an earlier run are no complete result of it.
        (self.folder / RECORD).unlink(missing_ok=True)
        try:
            with self.open() as job, only_one(self.folder / WORK):
                store.remove_others()
                self._remove_other_masks()
                for folder in {self.folder, *map(self.mask_folder, self.sources)}:
                    remove_leftovers(folder)
                for note in job.scene.notes:
                    log.info("Note: %s", note)
                if doubt := job.doubt:
                    log.warning("%s: %s", self.pair.image, doubt)
                kept = sum(map(store.has, range(len(job.spans)))) * len(self.judge.tiling.spans(job.scene.grid.width))
                progress.start(job.scene.size, self.judge.tiling, kept)
                job.judge_bands(on_window=progress.window)
                try:
                    job.require_pixels()
                except InputError:
                    store.clear()
                    raise
                judged = self._write_all(job)
                # Written last: where the record is, the files are complete.
                content = {"fingerprint": self.fingerprint, "rows": _stored(judged.rows), "trouble": judged.trouble}
                write_json(self.folder / RECORD, content)
                store.clear()
        finally:
            # Judged bands stay for another try, an empty folder does not.
            remove_empty(self.folder / WORK)
        if self.bucket is not None:
            self.bucket.upload(self.folder, RECORD)
        return judged

    def judge_part(self, bands: range, progress: SceneProgress) -> None:
        """Judge some bands for `run`, which another process calls when all are there; raises as `run` does."""
        with self.open() as job:
            rows = job.spans[bands[-1]][1] - job.spans[bands[0]][0]
            progress.start((rows, job.scene.grid.width), self.judge.tiling)
            job.judge_bands(bands.__contains__, progress.window)

    def work(self) -> tuple[int, int]:
        """Number of bands, and of windows in each; raises InputError if image or mask cannot be used."""
        with self.open() as job:
            return len(job.spans), len(self.judge.tiling.spans(job.scene.grid.width))

    def earlier_result(self) -> JudgedPair | None:
        """A complete result of the same job from an earlier run, or None; raises InputError if an input is missing.

        With a bucket, a result that is complete there only is downloaded, and one that is complete here only is uploaded.
        """
        content = self._record()
        if self.bucket is not None:
            if self._if_mine(self.bucket.read(RECORD)) is not None:
                if content is None:
                    self.bucket.download(self.folder, RECORD)
                    content = self._record()
            elif content is not None:
                self.bucket.upload(self.folder, RECORD)
        if content is None:
            return None
        rows = [{name: math.nan if value is None else value for name, value in row.items()} for row in content["rows"]]
        return JudgedPair(rows, content.get("trouble"), earlier=True)

    def _record(self) -> Mapping[str, Any] | None:
        """The record of a complete result of this job in its folder."""
        try:
            return self._if_mine((self.folder / RECORD).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return self._if_mine(None)

    def _if_mine(self, record: bytes | None) -> Mapping[str, Any] | None:
        """The content of a record, if it is one of this job."""
        fingerprint = self.fingerprint
        try:
            content: Mapping[str, Any] = json.loads(record or b"{}")
        except ValueError:
            return None
        return content if content.get("fingerprint") == fingerprint else None

    def remove_work(self) -> None:
        """Remove the bands that a process left behind when it was killed after all files were written."""
        if not (self.folder / WORK).is_dir():
            return
        with suppress(InputError), only_one(self.folder / WORK):  # a process at work there removes it itself
            self.store.clear()
        remove_empty(self.folder / WORK)

    def mask_folder(self, source: str) -> Path:
        """The folder for the files of a mask."""
        return mask_folder(self.folder, source, len(self.sources))

    def _remove_other_masks(self) -> None:
        """Remove the files of masks that an earlier run judged into this folder, where none is judged now."""
        below = {path.parent for path in self.folder.glob("*/quality.tif")}
        for folder in {self.folder, *below}:
            # A folder with a record of its own belongs to another pair.
            own = folder == self.folder or not (folder / RECORD).is_file()
            if own and folder not in set(map(self.mask_folder, self.sources)):
                for name in (*ALWAYS, *ONLY_SOMETIMES):
                    (folder / name).unlink(missing_ok=True)
                if folder != self.folder:
                    remove_empty(folder)

    def _write_all(self, job: SceneJob) -> JudgedPair:
        rows, trouble, name, scene = [], None, self.pair.name, job.scene
        for source in self.sources:
            folder = self.mask_folder(source)
            judged = job.write(source, folder)
            _tell_shift(f"{name} ({source})", judged.findings.shift)
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
        return JudgedPair(rows, trouble, pixels=scene.grid.height * scene.grid.width)

    def _write_panel(self, job: SceneJob, source: str, judged: JudgedMask) -> None:
        """Draw the whole scene, reduced if it is large."""
        size = job.scene.overview_size(PANEL_PIXELS)
        note = f"Estimates without ground truth; {self.judge.decoding} decoding."
        iou, title = judged.scores["estimated_iou"], f"{self.pair.name} ({source})"
        picture = render_panel(job.scene.overview(size), *job.reduced(source, size), title, [note], estimated_iou=iou)
        with atomic_path(self.mask_folder(source) / "panel.png") as temporary:
            picture.save(temporary, compress_level=_PNG_LEVEL)


def _tell_shift(name: str, shift: LayerShift | None) -> None:
    """Say that a whole layer lies elsewhere than what the image shows."""
    if shift is None or not shift.is_clear:
        return
    if math.isnan(shift.x_m):
        offset = f"{shift.x_px:+.0f} px to the right and {shift.y_px:+.0f} px downwards"
    else:
        offset = f"{shift.x_m:+.1f} m to the east and {shift.y_m:+.1f} m to the north"
    log.warning("%s: the whole layer agrees better with the image if it is moved by %s; see aligned.gpkg.", name, offset)


def mask_folder(folder: Path, source: str, sources: int) -> Path:
    """The folder for the files of a mask, one of `sources` masks of an image."""
    return folder if sources == 1 else folder / safe_name(source)


def _stored(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]
