"""Scenes judged, and folds of a fit trained, by the workers of a Dask cluster, on this machine or many.

A unit of work is a scene, or some bands of rows of a large one, which is put together when all of them are there. A worker that
dies is replaced, its unit is done again by another, and bands that it has judged are used.
"""

import logging
import multiprocessing
import pickle
import signal
import threading
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from logging.handlers import QueueHandler
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from segassess.errors import OutputError, RequestError, SegAssessError
from segassess.interrupts import raise_if_interrupted
from segassess.predict.request import Judged
from segassess.raster.pairs import FailedInput
from segassess.raster.urls import Traffic

if TYPE_CHECKING:
    from distributed import Client as Client  # for those who pass one on
    from distributed import Future, LocalCluster

    from segassess.predict.fit.beside import OnFold, Trainable

log = logging.getLogger(__name__)

# So many scenes are with the scheduler at once: enough for any number of workers, few enough for its memory.
AT_ONCE = 2000
# Seconds between two looks at the number of workers.
_WATCH_S = 2.0
# Seconds to wait for a report of a training before looking at the workers.
_PATIENCE_S = 0.5
# Seconds between two reports of a training, and between its looks at whether it is still wanted.
_REPORTED_S = 1.0
# Put a scene together before judging more of it, and judge its parts before beginning another.
_BEGIN, _PART, _FINISH = 0, 1, 2


class Divisible(Protocol):
    """Scenes to judge by index; see `JudgeRequest`."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Name of a scene."""

    def judge(self, index: int, *, most_bands: int | None = None) -> Judged:
        """Judge a scene, or say how many bands it has if they are more than `most_bands`."""

    def judge_part(self, index: int, bands: range) -> Judged:
        """Judge some bands of a scene for `judge`."""


@contextmanager
def local_cluster(workers: int | None, threads: int = 1) -> Iterator["Client"]:
    """A cluster of `workers` processes of this machine, one for each core if None; each does `threads` units at once.

    Raises RequestError without dask.
    """
    _require_dask()
    import dask
    from distributed import Client, LocalCluster, WorkerPlugin

    class Uninterrupted(WorkerPlugin):  # type: ignore[misc]  # mypy takes the library for untyped
        """A terminal sends Ctrl-C to workers as well, which this process ends anyway."""

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    others = set(multiprocessing.active_children())
    try:
        with (
            # So many workers may die at one unit before it counts as a failure.
            dask.config.set({"distributed.scheduler.allowed-failures": 10}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=threads,
                memory_limit=0,  # none: Dask would stop workers at a share of the memory that it guesses
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
            _kept_up(cluster, len(cluster.workers)),
        ):
            client.register_plugin(Uninterrupted())
            log.info("%d processes judge; dashboard: %s", len(cluster.workers), cluster.dashboard_link)
            yield client
    finally:
        # One that takes the place of a dead one while the cluster closes stays, and this process would wait for it in the end.
        for process in set(multiprocessing.active_children()) - others:
            process.kill()


@contextmanager
def _kept_up(cluster: "LocalCluster", workers: int) -> Iterator[None]:
    """Within the block, the cluster gets back to so many workers: Dask itself replaces none that dies while it starts."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_S):
            cluster.scale(workers)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def joined_cluster(scheduler: str) -> Iterator["Client"]:
    """The cluster whose scheduler has the address; raises RequestError if nobody answers there, or without dask."""
    _require_dask()
    from distributed import Client

    try:
        client = Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise RequestError(
            f"No scheduler of Dask answers at engine.scheduler={scheduler}; start one, or correct the address."
        ) from error
    with client:
        log.info("%d workers of %s judge; dashboard: %s", len(client.ncores()), scheduler, client.dashboard_link)
        if not client.ncores():
            log.warning("%s has no workers yet; this waits for the first one.", scheduler)
        yield client


def judge_on(client: "Client", request: Divisible, bands: int, shown: Callable[[int, int], None]) -> Iterator[tuple[int, Judged]]:
    """Judge all scenes of a request on a cluster; yields index and result of each as soon as it is complete or has failed.

    Args:
        client: of the cluster, whose workers see the inputs and the folder of the results.
        request: the scenes; it travels to each worker once.
        bands: a scene of more bands than these is cut into parts of so many at most; a smaller one too if there are few scenes.
        shown: gets the number of units done and that of those known so far.

    Raises OutputError if the scheduler is gone or the disk is full, RequestError if workers cannot begin; what was judged stays.
    """
    from distributed import as_completed

    # As the result of a task, because that can be had again when the worker that holds it dies.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        shared = client.submit(pickle.loads, pickle.dumps(request), pure=False)
    # Scenes that are fewer than workers are cut so that all have something to do.
    share = -(-len(client.ncores()) // max(1, len(request)))
    most_whole = 1 if share > 1 else bands
    waiting = deque(range(len(request)))
    owners: dict[Future, tuple[int, int]] = {}
    parts_left: dict[int, int] = {}
    spent: defaultdict[int, Traffic] = defaultdict(Traffic)
    done, known = 0, len(request)
    finished = as_completed(loop=client.loop)

    def submit(index: int, priority: int, *what: Any) -> None:
        future = client.submit(_unit, shared, index, *what, pure=False, priority=priority)
        owners[future] = index, priority
        finished.add(future)

    try:
        while waiting and len(owners) < AT_ONCE:
            submit(waiting.popleft(), _BEGIN, most_whole)
        for future in finished:
            index, priority = owners.pop(future)
            judged = _result(future, request.name(index))
            future.release()
            done += 1
            spent[index] += judged.traffic
            if judged.bands:
                parts = _parts(judged.bands, bands, share)
                parts_left[index] = len(parts)
                known += len(parts) + 1
                for part in parts:
                    submit(index, _PART, None, part)
            elif priority == _PART:
                # If a part has failed, putting the scene together meets the same error.
                parts_left[index] -= 1
                if not parts_left[index]:
                    del parts_left[index]
                    submit(index, _FINISH)
            else:
                judged.traffic = spent.pop(index)
                yield index, judged
                if waiting:
                    submit(waiting.popleft(), _BEGIN, most_whole)
            shown(done, known)
    finally:
        client.cancel([*owners, shared])


def _parts(count: int, most: int, number: int) -> list[range]:
    """Cut `count` bands into contiguous parts of `most` bands at most, `number` of them at least if there are so many bands.

    Parts are as few as possible, because one more row of windows is judged where each begins.
    """
    number = max(-(-count // most), min(number, count))
    edges = [count * part // number for part in range(number + 1)]
    return [range(first, last) for first, last in pairwise(edges)]


def _unit(request: Divisible, index: int, most_bands: int | None = None, part: range | None = None) -> tuple[Judged, list[Any]]:
    """What a worker does: the result, and records of the log for the process that asked."""
    with _kept_log.records() as records:
        judged = request.judge(index, most_bands=most_bands) if part is None else request.judge_part(index, part)
    return judged, [records.get() for _ in range(records.qsize())]


class _KeptLog:
    """Keeps what the package logs from being shown where it is logged; threads of a worker may do so at once."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("segassess")
        self._lock = threading.Lock()
        self._blocks = 0
        self._before = logging.NOTSET, True

    @contextmanager
    def records(self) -> Iterator["SimpleQueue[logging.LogRecord]"]:
        """A queue that gets what this thread logs within the block."""
        records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        handler, thread = QueueHandler(records), threading.get_ident()
        handler.addFilter(lambda record: record.thread == thread)
        self._change(1)
        self._logger.addHandler(handler)
        try:
            yield records
        finally:
            self._logger.removeHandler(handler)
            self._change(-1)

    def _change(self, blocks: int) -> None:
        with self._lock:
            self._blocks += blocks
            if blocks == self._blocks == 1:
                self._before = self._logger.level, self._logger.propagate
                logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # our messages say what is wrong
                self._logger.setLevel(logging.INFO)
                self._logger.propagate = False
            elif not self._blocks:
                self._logger.setLevel(self._before[0])
                self._logger.propagate = self._before[1]


_kept_log = _KeptLog()


def _result(future: "Future", name: str) -> Judged:
    """Result of a unit, whose messages are logged here."""
    from distributed.scheduler import KilledWorker

    if future.status == "cancelled":
        raise OutputError("The scheduler is gone; run the same command again to go on with what is judged.")
    try:
        judged: Judged
        judged, records = future.result()
    except KilledWorker:
        words = "the processes that judged it died several times, which want of memory does; use fewer workers."
        return Judged(failure=FailedInput(name, words))
    except SegAssessError:
        raise
    except Exception as error:  # a worker without the package, or with another version, fails in many ways
        words = f"A worker could not begin ({type(error).__name__}: {error}); do all have this version of segassess?"
        raise RequestError(words) from error
    for record in records:
        logging.getLogger(record.name).handle(record)
    return judged


@dataclass(frozen=True)
class FoldTrainers:
    """The workers of a cluster train the folds of a fit; they see the images and the folder of the networks.

    A fold whose worker dies goes on in another, from its last kept state.
    """

    client: "Client"

    @property
    def workers(self) -> int:
        """As many folds as the workers have threads; one while there is no worker yet."""
        threads: int = sum(self.client.nthreads().values())
        return max(1, threads)

    def train(self, folds: "Trainable", numbers: Sequence[int], seconds: float, on_step: "OnFold") -> None:
        """See `fit.beside.TrainsBeside`; raises RequestError if a worker cannot begin."""
        from distributed.scheduler import KilledWorker

        reports: SimpleQueue[tuple[int, int, int]] = SimpleQueue()
        topic = f"fit {folds.folder} {time.time_ns()}"
        self.client.subscribe_topic(topic, lambda event: reports.put(event[1]))
        waiting = {self.client.submit(_in_worker, folds, fold, seconds, topic, pure=False): fold for fold in numbers}
        try:
            while waiting:
                for future, fold in list(waiting.items()):
                    if not future.done():
                        continue
                    if future.status == "cancelled":
                        raise OutputError("The scheduler is gone; run the same command again to go on.")
                    del waiting[future]
                    try:
                        last = future.result()
                    except KilledWorker:
                        raise OutputError(
                            f"The workers that trained fold {fold} died several times; run it again to go on."
                        ) from None
                    except SegAssessError:
                        raise
                    except Exception as error:  # a worker without the package, or with another version, fails in many ways
                        words = (
                            f"A worker could not train ({type(error).__name__}: {error}); do all have this version of segassess?"
                        )
                        raise RequestError(words) from error
                    if last is not None:
                        on_step(*last)
                try:
                    report = reports.get(timeout=_PATIENCE_S)
                except Empty:
                    report = None
                # One that comes after the end of its fold is older than that.
                if report is not None and report[0] in waiting.values():
                    on_step(*report)
                raise_if_interrupted()
        finally:
            self.client.cancel(list(waiting))
            self.client.unsubscribe_topic(topic)


class _Unwanted(Exception):
    """Nobody waits for this training any more."""


def _in_worker(folds: "Trainable", fold: int, seconds: float, topic: str) -> tuple[int, int, int] | None:
    """Train a fold in a worker of a cluster, and tell those who wait for `topic` of the steps; gives the last one's report."""
    from distributed import get_worker

    worker, told = get_worker(), 0.0
    last: tuple[int, int, int] | None = None
    task = worker.state.tasks.get(worker.get_current_task())

    def report(number: int, done: int, steps: int) -> None:
        nonlocal told, last
        last = number, done, steps
        if time.monotonic() - told < _REPORTED_S:
            return
        told = time.monotonic()
        if task is not None and task.state != "executing":
            raise _Unwanted
        worker.log_event(topic, (number, done, steps))

    folds.train_one(fold, seconds, report)
    return last


def _require_dask() -> None:
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise RequestError(f"The package {error.name} is not installed; pip install 'segassess[cluster]'.") from error
    # Each worker that comes and goes is told to whoever logs everything.
    for library in ("distributed", "bokeh"):
        logging.getLogger(library).setLevel(logging.ERROR)
