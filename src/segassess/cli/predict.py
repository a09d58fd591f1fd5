"""`predict.py`: judge masks of images without ground truth."""

import logging
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.errors import ConfigError, InputError, OutputError, RequestError, SomeInputsFailed
from segassess.files import atomic_path, only_one, remove_leftovers, write_json
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.calibration import Calibration
from segassess.models.recalibration import Recalibration
from segassess.options.fit import FitSettings
from segassess.outputs.findings_page import PAGE as FINDINGS
from segassess.outputs.findings_page import write_findings_page
from segassess.outputs.review_queue.mapping_tools import TABLE, has_answers
from segassess.outputs.review_record import PAGE, write_page
from segassess.outputs.tables import number, require_parquet, write_scores
from segassess.predict.bucket_folder import BucketFolder
from segassess.predict.cluster import FoldTrainers, joined_cluster, judge_on, local_cluster
from segassess.predict.pair_job import PairJob, mask_folder
from segassess.predict.progress import ScenesBar, fit_progress, scenes_progress
from segassess.predict.request import Judged, JudgeRequest, Outcome
from segassess.predict.scene import OutputSettings
from segassess.predict.scene_job import SceneJudge
from segassess.predict.tiling import Tiling
from segassess.raster import Rendering
from segassess.raster.pairs import FailedInput, FoundPairs, find_pairs
from segassess.raster.urls import Traffic, is_url, traffic
from segassess.version import __version__

if TYPE_CHECKING:
    from segassess.predict.cluster import Client

log = logging.getLogger(__name__)

SHOWN = 15
RUN = "run.json"
# Files of all masks together; the table of scores comes last, where they are complete.
WHOLE = (PAGE, FINDINGS, TABLE, "scores.parquet", "scores.csv")
# Folder of the networks that learned from the layers.
FIT = "fit"


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
    device = _device(config)
    with _cluster(config) as client:
        _judge_pairs(config, found, device, client)


def _judge_pairs(config: DictConfig, found: FoundPairs, device: torch.device, client: "Client | None") -> None:
    loaded = build.stored_assessor(config)
    output, bucket = _places(config)
    judge = SceneJudge.of(loaded, device, **judge_settings(config, loaded))
    with only_one(output, wait=True):
        remove_leftovers(output)
        write_json(output / RUN, _about(config, loaded, judge.recalibration))
        if bucket is not None:
            _begin(bucket, output)
    for path in found.unmatched:
        log.warning("%s has no image of the same name and is skipped.", path)
    jobs = [
        PairJob(pair, judge, output / pair.name, bucket=None if bucket is None else bucket.below(pair.name))
        for pair in found.pairs
    ]
    jobs = with_fit(config, jobs, output, device, client)
    outcome = _judge_all(config, JudgeRequest(jobs, bool(config.overwrite), bool(config.traceback)), client)
    with only_one(output, wait=True):
        _conclude(outcome, found.failures, judge, output, bucket)


def _places(config: DictConfig) -> tuple[Path, BucketFolder | None]:
    """The folder on disk for the results, and where they go from there if `output_dir` is a URL."""
    given = str(config.output_dir)
    if not is_url(given):
        return Path(given).absolute(), None  # workers may have another working folder
    scheme, _, place = given.rstrip("/").partition("://")
    if scheme.startswith("http"):
        raise RequestError(f"output_dir={given} cannot be written to; give s3://, gs://, az:// or a folder.")
    return (Path(config.paths.buckets) / scheme / place).absolute(), BucketFolder(f"{scheme}://{place}")


def _begin(bucket: BucketFolder, output: Path) -> None:
    """Write the record of the run, which shows that the bucket can be written to, and get answers that are in it."""
    try:
        bucket.write([output / RUN])
        answers = bucket.read(TABLE)
    except InputError as error:
        raise RequestError(str(error)) from error
    if answers is not None:
        with atomic_path(output / TABLE) as beside:
            beside.write_bytes(answers)


def _device(config: DictConfig) -> torch.device:
    """The device of each process; raises ConfigError where `trainer` shares work between devices, which `engine` does here."""
    if config.trainer.num_nodes > 1 or config.trainer.devices not in (1, "auto", "1"):
        raise ConfigError(
            f"Scenes are shared by `engine`, not by trainer.devices={config.trainer.devices}; give engine.workers=N."
        )
    return build.device(config.trainer)


@contextmanager
def _cluster(config: DictConfig) -> Iterator["Client | None"]:
    """The workers that `engine` names; None if this process does all."""
    engine = config.engine
    if engine.name == "local" and engine.workers == 1:
        yield None
        return
    with local_cluster(engine.workers) if engine.name == "local" else joined_cluster(engine.scheduler) as client:
        yield client


def with_fit(
    config: DictConfig, jobs: list[PairJob], output: Path, device: torch.device, client: "Client | None" = None
) -> list[PairJob]:
    """The jobs, with what is learned from their layers if `fit` says so; the workers of `client`, if given, learn it."""
    options = build.plain(config.fit)
    if options["name"] == "none":
        return jobs
    # Most requests need neither these networks nor their imports.
    from segassess.predict.fit.beside import Processes, TrainsBeside
    from segassess.predict.fit.fitting import fit_layers, kept_folder

    beside: TrainsBeside | None = None
    if client is not None:
        beside = FoldTrainers(client)
    elif device.type == "cpu" and torch.get_num_threads() > 1:
        # Two processes of one thread learn faster than one of two.
        beside = Processes(torch.get_num_threads())
    kept = options["name"] == "kept"
    settings, folder = (None, kept_folder(Path(options["folder"]))) if kept else (FitSettings(**options), output / FIT)
    scenes = [(job.pair.image, job.sources) for job in jobs]
    with fit_progress() as progress:
        fits = fit_layers(scenes, jobs[0].judge, settings, folder, device, progress, beside)
    return [replace(job, fits=each) for job, each in zip(jobs, fits, strict=True)]


def judge_settings(config: DictConfig, loaded: LoadedAssessor) -> dict[str, Any]:
    """Keywords of `SceneJudge.of` from a config; RequestError if its `calibration` is not that of the assessor."""
    options = build.plain(config)
    if "parquet" in options["output"]["formats"]:
        require_parquet()
    rendering: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options["rendering"].items()
    }
    path = None if config.calibration is None else Path(config.calibration)
    recalibration = Recalibration.read(path).require(path, loaded.digest, config.fit.name != "none") if path else Calibration()
    return {
        "recalibration": recalibration,
        "tiling": Tiling(**options["tiling"]),
        "rendering": Rendering(**rendering),
        "output": OutputSettings(**options["output"]),
        "probe_squares": bool(options["probe_squares"]),
        "classes": tuple(options["classes"] or ()),
        "panel": bool(options["panel"]),
        "report": bool(options["report"]),
        "report_pictures": int(options["report_pictures"]),
    }


def _judge_all(config: DictConfig, request: JudgeRequest, client: "Client | None") -> Outcome:
    """Judge all scenes by the workers of `client`, or here."""
    with scenes_progress() as progress:
        bar = ScenesBar(progress, len(request))
        return Outcome.of(
            _judged_here(request, bar) if client is None else _judged_there(client, request, config.engine.bands, bar)
        )


def _judged_there(client: "Client", request: JudgeRequest, bands: int, bar: ScenesBar) -> Iterator[tuple[int, Judged]]:
    for index, judged in judge_on(client, request, bands, bar.units):
        bar.advance()
        yield index, judged


def _judged_here(request: JudgeRequest, bar: ScenesBar) -> Iterator[tuple[int, Judged]]:
    for index in range(len(request)):
        with bar.scene(request.name(index)) as shown:
            judged = request.judge(index, shown)
        yield index, replace(judged, traffic=Traffic())  # this process counts it anyway


def _conclude(
    outcome: Outcome, not_found: Sequence[FailedInput], judge: SceneJudge, output: Path, bucket: BucketFolder | None
) -> None:
    """Write the tables and the page, and report failures; without any row, those of an earlier run stay."""
    rows = [dict(row) for rows in outcome.rows.values() for row in rows]
    failures, inputs = [*not_found, *outcome.failures.values()], len(outcome.rows.keys() | outcome.failures.keys())
    if rows:
        if not judge.output.parquet:
            (output / "scores.parquet").unlink(missing_ok=True)  # it would tell of an earlier run
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
        write_page(output, places, rows, about, judge.report_pictures, FINDINGS)
        if has_answers(output):
            log.warning("%s has answers, so it and findings.html stay as they were.", output / TABLE)
        else:
            write_findings_page(output, output, pictures=judge.report_pictures)
    if outcome.earlier:
        log.info(
            "%d of %d were complete from an earlier run and skipped; set overwrite=true to judge them again.",
            outcome.earlier,
            inputs,
        )
    if rows and bucket is not None:
        try:
            bucket.write(path for name in WHOLE if (path := output / name).is_file())
        except InputError as error:
            raise OutputError(str(error)) from error
    if rows:
        _print_worst(rows, str(output) if bucket is None else bucket.url, judge.report)
    _print_traffic(outcome.pixels, traffic() + outcome.traffic)
    if len(failures) > 1:  # a single one is named by the error itself
        for failure in failures:
            log.error("%s: %s", failure.name, failure.reason)
    if failures:
        first = failures[0]
        raise SomeInputsFailed(f"{len(failures)} of {inputs + len(not_found)} inputs failed: {first.name}: {first.reason}")


def _print_traffic(pixels: int, spent: Traffic) -> None:
    """Say what inputs by URL cost, if there were any."""
    if not spent.requests:
        return
    said = f"Read by URL: {spent.requests:,} requests and {spent.read / 1e6:,.1f} MB"
    if pixels:
        each = spent.requests / pixels, spent.read / pixels
        said += f" for {pixels / 1e6:,.1f} megapixels, {1e6 * each[0]:.1f} requests and {each[1]:.2f} MB for each"
    print(f"{said}.")


def _about(config: DictConfig, loaded: LoadedAssessor, recalibration: Calibration) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rasterio": rasterio.__version__,
        "checkpoint": Path(config.checkpoint).name,
        "checkpoint_digest": loaded.digest,
        "assessor": loaded.description.as_dict(),
        "recalibration": recalibration.as_dict(),
        "config": {key: value for key, value in build.plain(config).items() if key not in ("paths", "trainer", "engine")},
    }


def _print_worst(rows: list[dict[str, Any]], output: str, report: bool) -> None:
    table = Table(title=f"Worst masks first (estimates; {len(rows)} in all)")
    for heading in ("name", "source", "est. IoU", "est. F1", "precision", "recall", "error share"):
        table.add_column(heading, justify="left" if heading in ("name", "source") else "right")
    for row in sorted(rows, key=lambda row: row["estimated_iou"])[:SHOWN]:
        keys = "estimated_iou", "estimated_f1", "estimated_precision", "estimated_recall", "error_share"
        table.add_row(row["name"], row["source"], *(number(row[key]) for key in keys))
    Console(width=120).print(table)
    pages = f", {PAGE} and {FINDINGS}" if report else ""
    print(f"Maps, layers of errors and objects, scores.csv{pages}: {output}")
