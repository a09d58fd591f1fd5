"""A request to judge scenes as units of work that any process can do, and what comes back from them."""

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from segassess.errors import InputError, SegAssessError
from segassess.interrupts import raise_if_interrupted
from segassess.predict.pair_job import RECORD, PairJob
from segassess.predict.progress import SceneProgress
from segassess.raster.library_errors import reason
from segassess.raster.pairs import FailedInput
from segassess.raster.urls import Traffic, traffic

log = logging.getLogger(__name__)


@dataclass
class Judged:
    """What a unit of work gave: `rows` of scores of a scene that is complete now, or why it failed, or has judged in part.

    `bands` is the number of bands of a scene that is too large for one unit, of which nothing was judged.
    """

    rows: Sequence[Mapping[str, Any]] | None = None
    failure: FailedInput | None = None
    earlier: bool = False  # complete from an earlier run
    bands: int = 0
    pixels: int = 0  # of a scene that was put together now
    traffic: Traffic = field(default_factory=Traffic)


@dataclass
class Outcome:
    """Results by index of the scene: rows of scores, and failures, also of scenes judged in part."""

    rows: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    failures: dict[int, FailedInput] = field(default_factory=dict)
    earlier: int = 0  # scenes that were complete
    pixels: int = 0  # of scenes judged now
    traffic: Traffic = field(default_factory=Traffic)

    @classmethod
    def of(cls, results: Iterable[tuple[int, Judged]]) -> "Outcome":
        """From units of work in any order; scenes come in the order of their indices."""
        found = dict(results)
        outcome = cls(earlier=sum(each.earlier for each in found.values()))
        for index, judged in sorted(found.items()):
            outcome.pixels += judged.pixels
            outcome.traffic += judged.traffic
            if judged.rows is not None:
                outcome.rows[index] = judged.rows
            if judged.failure is not None:
                outcome.failures[index] = judged.failure
        return outcome


@dataclass(frozen=True)
class JudgeRequest:
    """Scenes to judge. An input that cannot be used is a failure of its scene; a full disk, for one, ends all and is raised."""

    jobs: Sequence[PairJob]
    overwrite: bool = False  # also what is complete from an earlier run
    traceback: bool = False  # print those of failures

    def __len__(self) -> int:
        return len(self.jobs)

    def name(self, index: int) -> str:
        """Name of a scene."""
        return self.jobs[index].pair.name

    def judge(self, index: int, shown: SceneProgress | None = None, most_bands: int | None = None) -> Judged:
        """Judge a scene and write its files, from the bands that parts have judged as far as they are there.

        A scene of more than `most_bands` bands is left as it is, and `Judged.bands` says how many it has.
        """
        job, judged = self.jobs[index], Judged()
        with self._failing(index, judged):
            found = None if self.overwrite else job.earlier_result()
            if found is None and most_bands is not None and (bands := job.work()[0]) > most_bands:
                judged.bands = bands
                return judged
            if found is None:
                if not self.overwrite and (job.folder / RECORD).is_file():
                    log.warning("%s was judged with other inputs or settings before, and is judged again.", job.pair.name)
                found = job.run(shown)
            else:
                job.remove_work()
            judged.rows, judged.earlier, judged.pixels = found.rows, found.earlier, found.pixels
            if found.trouble is not None:
                judged.failure = FailedInput(job.pair.name, found.trouble)
        return judged

    def judge_part(self, index: int, bands: range, shown: SceneProgress | None = None) -> Judged:
        """Judge some bands of a scene for `judge`."""
        judged = Judged()
        with self._failing(index, judged):
            self.jobs[index].judge_part(bands, shown or SceneProgress())
        return judged

    @contextmanager
    def _failing(self, index: int, judged: Judged) -> Iterator[None]:
        """Turn an error in the block into a failure of this scene, unless nothing can go on."""
        image, before = self.jobs[index].pair.image, traffic()
        try:
            yield
        except InputError as error:
            words = str(error)
        except (SegAssessError, BrokenPipeError):
            raise
        except MemoryError:
            words = f"{image} does not fit into memory; set a smaller tiling.window."
        except Exception as error:  # whatever a library raises: GDAL, PROJ and the networks have many ways
            raise_if_interrupted()
            words = f"{image} cannot be judged ({type(error).__name__}: {reason(error)}); debug=traceback shows where."
        else:
            return
        finally:
            judged.traffic = traffic() - before
        if self.traceback:
            traceback.print_exc()
        judged.failure = FailedInput(self.jobs[index].pair.name, words)
