"""`predict.py`: judge masks of images, no truth needed."""

import logging
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasterio
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.errors import InputError, RequestError, SegAssessError, SomeInputsFailed
from segassess.files import only_one, remove_leftovers, write_json
from segassess.findings.scores import write_scores
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.outputs.review_record import write_page
from segassess.outputs.tables import number
from segassess.predict.processes import Processes
from segassess.predict.progress import SceneProgress, ScenesBar, scenes_progress
from segassess.predict.request import Request
from segassess.predict.scene_job import RECORD, complete_result, judge_pair, judge_part, mask_folder, remove_work, work_of
from segassess.predict.sharing import share
from segassess.raster.pairs import FailedInput, Pair, find_pairs
from segassess.version import __version__

log = logging.getLogger(__name__)

SHOWN = 15


@dataclass
class Outcome:
    """What came of the pairs that a process judged.

    Attributes:
        rows: scores by number of the pair.
        failures: likewise, why one failed, or what is wrong with it although it was judged.
        earlier: number of pairs that were complete from an earlier run.
        stopped: why the process could not go on, or None.
    """

    rows: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    failures: dict[int, FailedInput] = field(default_factory=dict)
    earlier: int = 0
    stopped: SegAssessError | None = None

    @classmethod
    def joined(cls, outcomes: Sequence["Outcome"]) -> "Outcome":
        """Of several processes, in the order of the pairs."""
        rows = {index: rows for each in outcomes for index, rows in each.rows.items()}
        failures = {index: failure for each in outcomes for index, failure in each.failures.items()}
        stopped = next((each.stopped for each in outcomes if each.stopped is not None), None)
        return cls(dict(sorted(rows.items())), dict(sorted(failures.items())), sum(each.earlier for each in outcomes), stopped)

    @contextmanager
    def of(self, index: int, pair: Pair) -> Iterator[None]:
        """What goes wrong with the pair in the block is its failure, and no other's."""
        try:
            yield
        except InputError as error:
            self.failures[index] = FailedInput(pair.name, str(error))
        except MemoryError:
            self.failures[index] = FailedInput(pair.name, f"{pair.image} does not fit into memory; set a smaller tiling.window.")


def run(config: DictConfig) -> None:
    """Do the task that the config names: judge masks, or draw a segmenter's."""
    if config.task == "segmenter":
        # Lightning comes with it.
        from segassess.cli.segmenter import draw

        draw(config)
    else:
        judge_masks(config)


def judge_masks(config: DictConfig) -> None:
    """Judge all pairs; one folder each, a table of scores, a record of the run.

    Raises:
        SomeInputsFailed: at the end, if some inputs failed; all others are done.
        OutputError: if the disk is full; what was judged is kept.
    """
    if not config.output_dir:
        raise RequestError("output_dir is empty; give the folder that results go to.")
    found = find_pairs(config.image, build.plain(config.mask))
    request = Request.of(config)
    output = Path(config.output_dir)
    with Processes(config.trainer) as processes:
        request = request.on(processes.device)
        if processes.is_first:
            with only_one(output, wait=True):
                remove_leftovers(output)
                write_json(output / "run.json", _about(config, request.loaded))
            for path in found.unmatched:
                log.warning("%s has no image of the same name and is left out.", path)
        outcome = _judge_all(found.pairs, request, output, processes, bool(config.overwrite))
        if processes.is_first:
            with only_one(output, wait=True):
                _conclude(outcome, found.pairs, found.failures, request, output)


def _judge_all(pairs: Sequence[Pair], request: Request, output: Path, processes: Processes, overwrite: bool) -> Outcome:
    """Judge all pairs, each process its part of them; gives what came of all of them.

    Scenes that are cut between processes are judged by each of these first, and put together by the one that has their
    beginning when all are done. It judges again what it does not find, so nothing is lost if another one failed.
    """
    # Only several processes need to know how much there is to do.
    work = [(1, 1)] * len(pairs) if processes.count == 1 else [work_of(pair, request) for pair in pairs]
    parts = share(work, processes.count)[processes.rank]
    cut = [part.scene for part in parts if not part.whole]
    outcome = Outcome()
    with scenes_progress(shown=processes.is_first) as progress:
        bar = ScenesBar(progress, len(parts))
        try:
            for part in parts:
                pair = pairs[part.scene]
                with outcome.of(part.scene, pair), bar.scene(pair.name) as shown:
                    if part.whole:
                        _judge_one(part.scene, pair, request, output, overwrite, outcome, shown)
                    elif overwrite or complete_result(pair, request, output / pair.name) is None:
                        judge_part(pair, request, output / pair.name, part.bands, shown)
        except SegAssessError as error:
            if processes.count == 1:
                raise
            outcome.stopped = error
        so_far = Outcome.joined(processes.gather(outcome))
        mine = [part.scene for part in parts if part.scene in cut and part.first and part.scene not in so_far.failures]
        try:
            for index in mine if so_far.stopped is None else ():
                with outcome.of(index, pairs[index]), bar.scene(pairs[index].name) as shown:
                    _judge_one(index, pairs[index], request, output, overwrite, outcome, shown)
        except SegAssessError as error:
            outcome.stopped = error
    result = Outcome.joined(processes.gather(outcome))
    if result.stopped is not None and processes.is_first:
        raise result.stopped
    return result


def _judge_one(
    index: int, pair: Pair, request: Request, output: Path, overwrite: bool, outcome: Outcome, shown: SceneProgress
) -> None:
    folder = output / pair.name
    judged = None if overwrite else complete_result(pair, request, folder)
    if judged is None:
        if not overwrite and (folder / RECORD).is_file():
            log.warning("%s was judged before with other inputs or settings and is judged anew.", pair.name)
        judged = judge_pair(pair, request, folder, shown)
    else:
        remove_work(pair, request, folder)
    outcome.rows[index] = judged.rows
    outcome.earlier += judged.earlier
    if judged.trouble is not None:
        outcome.failures[index] = FailedInput(pair.name, judged.trouble)


def _conclude(outcome: Outcome, pairs: Sequence[Pair], not_found: Sequence[FailedInput], request: Request, output: Path) -> None:
    """Write the tables and the page of all, and say what failed; if nothing could be judged, those of an earlier run stay."""
    rows = [dict(row) for rows in outcome.rows.values() for row in rows]
    failures = [*not_found, *outcome.failures.values()]
    if rows:
        write_scores(output / "scores.csv", rows, parquet=request.judge.output.parquet)
    if rows and request.report:
        about = (
            f"Estimates without ground truth by segassess {__version__}, assessor {request.loaded.digest}, "
            f"{request.judge.decoding} decoding. Worst tiles first."
        )
        if failures:
            about += f" Not judged, or not all of it: {'; '.join(f'{each.name}: {each.reason}' for each in failures[:5])}"
        masks = Counter(row["name"] for row in rows)
        places = [mask_folder(output / row["name"], row["source"], masks[row["name"]]) for row in rows]
        write_page(output, places, rows, about, request.report_pictures)
    if outcome.earlier:
        log.info(
            "%d of %d were complete from an earlier run and skipped; overwrite=true judges them anew.",
            outcome.earlier,
            len(pairs),
        )
    if rows:
        _print_worst(rows, output)
    if len(failures) > 1:  # a single one is named by the error itself
        for failure in failures:
            log.error("%s: %s", failure.name, failure.reason)
    if failures:
        first = failures[0]
        raise SomeInputsFailed(f"{len(failures)} of {len(pairs) + len(not_found)} inputs failed: {first.name}: {first.reason}")


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
