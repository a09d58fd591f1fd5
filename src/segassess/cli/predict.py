"""`predict.py`: judge masks of images without ground truth."""

import logging
import platform
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import rasterio
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.errors import InputError, SegAssessError, SomeInputsFailed
from segassess.files import only_one, remove_leftovers, write_json
from segassess.interrupts import raise_if_interrupted
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.options.fit import FitSettings
from segassess.outputs.review_record import write_page
from segassess.outputs.tables import number, require_parquet, write_scores
from segassess.predict.pair_job import RECORD, PairJob, mask_folder
from segassess.predict.processes import Processes
from segassess.predict.progress import SceneProgress, ScenesBar, fit_progress, scenes_progress
from segassess.predict.scene import OutputSettings
from segassess.predict.scene_job import SceneJudge
from segassess.predict.sharing import share
from segassess.predict.tiling import Tiling
from segassess.raster import Rendering
from segassess.raster.library_errors import reason
from segassess.raster.pairs import FailedInput, find_pairs
from segassess.version import __version__

log = logging.getLogger(__name__)

SHOWN = 15
# Folder of the networks that learned from the layers.
FIT = "fit"


@dataclass
class Outcome:
    """Results of one process: rows of scores and failures (also of pairs judged in part) by index of the pair.

    `earlier` counts pairs that were complete; `stopped` says why the process could not go on.
    """

    overwrite: bool = False
    traceback: bool = False
    rows: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    failures: dict[int, FailedInput] = field(default_factory=dict)
    earlier: int = 0
    stopped: SegAssessError | None = None

    @classmethod
    def joined(cls, outcomes: Sequence["Outcome"]) -> "Outcome":
        """Join the outcomes of several processes, in the order of the pairs."""
        rows = {index: rows for each in outcomes for index, rows in each.rows.items()}
        failures = {index: failure for each in outcomes for index, failure in each.failures.items()}
        stopped = next((each.stopped for each in outcomes if each.stopped is not None), None)
        earlier = sum(each.earlier for each in outcomes)
        return cls(rows=dict(sorted(rows.items())), failures=dict(sorted(failures.items())), earlier=earlier, stopped=stopped)

    def judge(self, index: int, job: PairJob, shown: SceneProgress) -> None:
        """Judge a pair, unless it is complete."""
        judged = None if self.overwrite else job.earlier_result()
        if judged is None:
            if not self.overwrite and (job.folder / RECORD).is_file():
                log.warning("%s was judged with other inputs or settings before, and is judged again.", job.pair.name)
            judged = job.run(shown)
        else:
            job.remove_work()
        self.rows[index] = judged.rows
        self.earlier += judged.earlier
        if judged.trouble is not None:
            self.failures[index] = FailedInput(job.pair.name, judged.trouble)

    def judge_part(self, job: PairJob, bands: range, shown: SceneProgress) -> None:
        """Judge bands of a pair, unless it is complete."""
        if self.overwrite or job.earlier_result() is None:
            job.judge_part(bands, shown)

    @contextmanager
    def of(self, index: int, job: PairJob) -> Iterator[None]:
        """Turn an error in the block into a failure of this pair, unless nothing can go on."""
        image = job.pair.image
        try:
            yield
        except InputError as error:
            self._fail(index, job, str(error))
        except (SegAssessError, BrokenPipeError):
            raise
        except MemoryError:
            self._fail(index, job, f"{image} does not fit into memory; set a smaller tiling.window.")
        except Exception as error:  # whatever a library raises: GDAL, PROJ and the networks have many ways
            raise_if_interrupted()
            words = f"{image} cannot be judged ({type(error).__name__}: {reason(error)}); debug=traceback shows where."
            self._fail(index, job, words)

    def _fail(self, index: int, job: PairJob, words: str) -> None:
        if self.traceback:
            traceback.print_exc()
        self.failures[index] = FailedInput(job.pair.name, words)


def run(config: DictConfig) -> None:
    """Judge masks, or draw a segmenter's."""
    if config.task == "segmenter":
        # Imports Lightning.
        from segassess.cli.segmenter import draw

        draw(config)
    else:
        judge_masks(config)


def judge_masks(config: DictConfig) -> None:
    """Judge all pairs; writes a folder each, a table of scores and a record of the run.

    Raises:
        SomeInputsFailed: at the end, if some inputs failed; all others are done.
        OutputError: if the disk is full; all judged pairs are kept.
    """
    found = find_pairs(config.image, build.plain(config.mask))
    if config.fit.name == "kept":  # before anything is written or loaded
        from segassess.predict.fit.fitting import kept_folder

        kept_folder(Path(config.fit.folder))
    loaded, settings = build.stored_assessor(config), judge_settings(config)
    output = Path(config.output_dir)
    with Processes(config.trainer) as processes:
        judge = SceneJudge.of(loaded, processes.device, **settings)
        if processes.is_first:
            with only_one(output, wait=True):
                remove_leftovers(output)
                write_json(output / "run.json", _about(config, loaded))
            for path in found.unmatched:
                log.warning("%s has no image of the same name and is skipped.", path)
        jobs = [PairJob(pair, judge, output / pair.name) for pair in found.pairs]
        if processes.is_first:
            jobs = with_fit(config, jobs, output, processes.device)
        processes.gather(None)
        if not processes.is_first:  # the networks are there now
            jobs = with_fit(config, jobs, output, processes.device)
        outcome = _judge_all(jobs, processes, Outcome(bool(config.overwrite), bool(config.traceback)))
        if processes.is_first:
            with only_one(output, wait=True):
                _conclude(outcome, found.failures, judge, output)


def with_fit(config: DictConfig, jobs: list[PairJob], output: Path, device: torch.device) -> list[PairJob]:
    """The jobs, with what is learned from their layers if `fit` says so."""
    options = build.plain(config.fit)
    if options["name"] == "none":
        return jobs
    # Most requests need neither these networks nor their imports.
    from segassess.predict.fit.fitting import fit_layers, kept_folder

    kept = options["name"] == "kept"
    settings, folder = (None, kept_folder(Path(options["folder"]))) if kept else (FitSettings(**options), output / FIT)
    scenes = [(job.pair.image, job.sources) for job in jobs]
    with fit_progress() as progress:
        # On a CPU, two processes of one thread learn faster than one of two.
        workers = torch.get_num_threads() if device.type == "cpu" else 1
        fits = fit_layers(scenes, jobs[0].judge, settings, folder, device, progress, workers)
    return [replace(job, fits=each) for job, each in zip(jobs, fits, strict=True)]


def judge_settings(config: DictConfig) -> dict[str, Any]:
    """Keywords of `SceneJudge.of` from a config."""
    options = build.plain(config)
    if options["output"]["parquet"]:
        require_parquet()
    rendering: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options["rendering"].items()
    }
    return {
        "tiling": Tiling(**options["tiling"]),
        "rendering": Rendering(**rendering),
        "output": OutputSettings(**options["output"]),
        "probe_squares": bool(options["probe_squares"]),
        "classes": tuple(options["classes"] or ()),
        "panel": bool(options["panel"]),
        "report": bool(options["report"]),
        "report_pictures": int(options["report_pictures"]),
    }


def _judge_all(jobs: Sequence[PairJob], processes: Processes, outcome: Outcome) -> Outcome:
    """Judge all pairs in parts, one per process; returns the joined outcome.

    Each process first judges its part of the scenes that are cut between processes; then the one with a scene's beginning puts
    it together, and judges again any part that is missing because another process failed.
    """
    # Only several processes need to know the amount of work.
    work = [(1, 1)] * len(jobs) if processes.count == 1 else [_work(job) for job in jobs]
    parts = share(work, processes.count)[processes.rank]
    cut = [part.scene for part in parts if not part.whole]
    with scenes_progress(shown=processes.is_first) as progress:
        bar = ScenesBar(progress, len(parts))
        try:
            for part in parts:
                job = jobs[part.scene]
                with outcome.of(part.scene, job), bar.scene(job.pair.name) as shown:
                    if part.whole:
                        outcome.judge(part.scene, job, shown)
                    else:
                        outcome.judge_part(job, part.bands, shown)
        except SegAssessError as error:
            if processes.count == 1:
                raise
            outcome.stopped = error
        so_far = Outcome.joined(processes.gather(outcome))
        mine = [part.scene for part in parts if part.scene in cut and part.first and part.scene not in so_far.failures]
        try:
            for index in mine if so_far.stopped is None else ():
                with outcome.of(index, jobs[index]), bar.scene(jobs[index].pair.name) as shown:
                    outcome.judge(index, jobs[index], shown)
        except SegAssessError as error:
            outcome.stopped = error
    result = Outcome.joined(processes.gather(outcome))
    if result.stopped is not None and processes.is_first:
        raise result.stopped
    return result


def _work(job: PairJob) -> tuple[int, int]:
    """Number of bands, and of windows in each; (1, 1) for a pair that cannot be opened, since judging it will say why."""
    try:
        return job.work()
    except Exception:
        return 1, 1


def _conclude(outcome: Outcome, not_found: Sequence[FailedInput], judge: SceneJudge, output: Path) -> None:
    """Write the tables and the page, and report failures; without any row, those of an earlier run stay."""
    rows = [dict(row) for rows in outcome.rows.values() for row in rows]
    failures, inputs = [*not_found, *outcome.failures.values()], len(outcome.rows.keys() | outcome.failures.keys())
    if rows:
        write_scores(output / "scores.csv", rows, parquet=judge.output.parquet)
    if rows and judge.report:
        about = (
            f"Estimates without ground truth by segassess {__version__}, assessor {judge.digest}, "
            f"{judge.decoding} decoding. Worst tiles first."
        )
        if failures:
            about += f" Not judged, or only in part: {'; '.join(f'{each.name}: {each.reason}' for each in failures[:5])}"
        masks = Counter(row["name"] for row in rows)
        places = [mask_folder(output / row["name"], row["source"], masks[row["name"]]) for row in rows]
        write_page(output, places, rows, about, judge.report_pictures)
    if outcome.earlier:
        log.info(
            "%d of %d were complete from an earlier run and skipped; set overwrite=true to judge them again.",
            outcome.earlier,
            inputs,
        )
    if rows:
        _print_worst(rows, output)
    if len(failures) > 1:  # a single one is named by the error itself
        for failure in failures:
            log.error("%s: %s", failure.name, failure.reason)
    if failures:
        first = failures[0]
        raise SomeInputsFailed(f"{len(failures)} of {inputs + len(not_found)} inputs failed: {first.name}: {first.reason}")


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


def _print_worst(rows: list[dict[str, Any]], output: Path) -> None:
    table = Table(title=f"Worst masks first (estimates; {len(rows)} in all)")
    for heading in ("name", "source", "est. IoU", "est. F1", "precision", "recall", "error share"):
        table.add_column(heading, justify="left" if heading in ("name", "source") else "right")
    for row in sorted(rows, key=lambda row: row["estimated_iou"])[:SHOWN]:
        keys = "estimated_iou", "estimated_f1", "estimated_precision", "estimated_recall", "error_share"
        table.add_row(row["name"], row["source"], *(number(row[key]) for key in keys))
    Console(width=120).print(table)
    print(f"Maps, layers of errors and objects, scores.csv and report.html: {output}")
