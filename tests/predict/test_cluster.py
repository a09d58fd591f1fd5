"""Scenes shared by the workers of a cluster: every scene once, large ones in parts; what goes wrong in a worker is told."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from segassess.errors import OutputError, RequestError
from segassess.predict.cluster import _parts, _unit, judge_on
from segassess.predict.request import Judged, Outcome
from segassess.raster.pairs import FailedInput


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


@dataclass(frozen=True)
class Scenes:
    """Scenes with so many bands each; what is done to them stands in a file per scene."""

    folder: Path
    bands: tuple[int, ...]
    raises: tuple[Exception | None, ...] = ()

    def __len__(self):
        return len(self.bands)

    def name(self, index):
        return f"scene{index}"

    def judge(self, index, *, most_bands=None):
        if most_bands is not None and self.bands[index] > most_bands:
            return Judged(bands=self.bands[index])
        if self.raises and self.raises[index] is not None:
            raise self.raises[index]
        self._note(index, "all")
        logging.getLogger("segassess.test").warning("scene%d is judged", index)
        if self.bands[index] == 0:
            return Judged(failure=FailedInput(self.name(index), "is empty"))
        return Judged(rows=[{"name": self.name(index)}])

    def judge_part(self, index, bands):
        self._note(index, f"{bands.start}-{bands.stop}")
        return Judged()

    def _note(self, index, what):
        with (self.folder / str(index)).open("a") as file:
            file.write(f"{what}\n")


class ToldHere(logging.Handler):
    """Messages that this thread logs; the workers are threads of the same process."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()
        self.messages = []

    def emit(self, record):
        if threading.get_ident() == self.thread:
            self.messages.append(record.getMessage())


def test_every_scene_is_judged_once_and_large_ones_in_parts(client, tmp_path):
    counts, told = [], ToldHere()
    logging.getLogger("segassess.test").addHandler(told)
    try:
        results = list(judge_on(client, Scenes(tmp_path, (1, 9, 0, 3)), 4, lambda done, known: counts.append((done, known))))
    finally:
        logging.getLogger("segassess.test").removeHandler(told)
    outcome = Outcome.of(results)
    assert {index: rows[0]["name"] for index, rows in outcome.rows.items()} == {0: "scene0", 1: "scene1", 3: "scene3"}
    assert list(outcome.rows) == [0, 1, 3] and outcome.failures == {2: FailedInput("scene2", "is empty")}
    *parts, last = (tmp_path / "1").read_text().split()
    assert sorted(parts) == ["0-3", "3-6", "6-9"] and last == "all"
    assert (tmp_path / "3").read_text() == "all\n"
    assert counts[-1] == (8, 8)
    assert sorted(told.messages) == [f"scene{index} is judged" for index in range(4)]


def test_units_at_once_in_one_process_keep_their_messages_apart(tmp_path):
    logger = logging.getLogger("segassess")
    before = logger.level, logger.propagate
    together = threading.Barrier(2, timeout=30)

    class Together(Scenes):
        def judge(self, index, *, most_bands=None):
            together.wait()
            judged = super().judge(index, most_bands=most_bands)
            together.wait()
            return judged

    with ThreadPoolExecutor(2) as pool:
        units = [pool.submit(_unit, Together(tmp_path, (1, 1)), index) for index in range(2)]
        told = [[record.getMessage() for record in unit.result()[1]] for unit in units]
    assert told == [["scene0 is judged"], ["scene1 is judged"]]
    assert (logger.level, logger.propagate) == before


def test_one_scene_is_cut_for_all_workers(client, tmp_path):
    list(judge_on(client, Scenes(tmp_path, (3,)), 4, lambda done, known: None))
    *parts, last = (tmp_path / "0").read_text().split()
    assert sorted(parts) == ["0-1", "1-3"] and last == "all"


def test_a_full_disk_ends_all(client, tmp_path):
    scenes = Scenes(tmp_path, (1, 1), (None, OutputError("The disk is full.")))
    with pytest.raises(OutputError, match="The disk is full"):
        list(judge_on(client, scenes, 4, lambda done, known: None))


def test_a_worker_that_cannot_begin_is_named(client, tmp_path):
    with pytest.raises(RequestError, match=r"could not begin .*nothing there"):
        list(judge_on(client, Scenes(tmp_path, (1,), (ModuleNotFoundError("nothing there"),)), 4, lambda done, known: None))


@pytest.mark.parametrize(("count", "most", "least", "number"), [(9, 8, 1, 2), (9, 8, 6, 6), (3, 8, 16, 3), (64, 8, 2, 8)])
def test_parts_cover_all_bands(count, most, least, number):
    parts = _parts(count, most, least)
    assert [band for part in parts for band in part] == list(range(count))
    assert len(parts) == number and all(0 < len(part) <= most for part in parts)
