"""`python speed_parts.py RESULT ARGUMENTS`: run `segassess predict ARGUMENTS` and write the CPU seconds of its parts as JSON.

Imports segassess from wherever it is found, so that the same file measures another commit; `speed.py` starts it.
"""

import functools
import importlib
import json
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Functions of a part by module, without the package; what one of them spends in another counts for that. Of a context manager
# the beginning and the end count. An earlier version may lack some.
PARTS: dict[str, tuple[str, ...]] = {
    "read": ("raster.image:ImageFile.read", "raster.mask:RasterMask.read", "raster.vectors:VectorMask.read"),
    "network": tuple(
        f"predict.{module}:{name}.{step}"
        for module, name in (("torch_network", "TorchNetwork"), ("onnx_network", "OnnxNetwork"))
        for step in ("encode", "probabilities")
    ),
    "decisions": ("predict.scene_job:judge_band",),
    "kept bands": tuple(f"predict.band_stores:BandStore.{name}" for name in ("save", "load", "planes")),
    "findings": ("predict.scene_job:SceneJob.gather",),
    "rasters": ("predict.scene_job:open_maps", "outputs.rasters:RowWriter.write"),
    "layers": ("predict.scene_job:write_layer", "predict.scene_job:write_layers"),
    "tables": ("predict.scene_job:write_table", "cli.predict:write_scores"),
    "panel": ("predict.pair_job:PairJob._write_panel",),
    "report": ("predict.scene_job:SceneJob.pictures", "predict.pair_job:keep_review", "cli.predict:write_page"),
}
START, REST = "start", "rest"
_FIRST = "predict.pair_job:PairJob.run"


class Clock:
    """Counts CPU seconds of this process for the part that runs."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((START, *PARTS, REST), 0.0)
        self._running = [START]
        self._since = 0.0

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Count for a part within the block."""
        self._switch()
        self._running.append(part)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def begin(self) -> None:
        """The start is over."""
        self._switch()
        self._running[0] = REST

    def end(self) -> None:
        """Count up to now."""
        self._switch()


def _replace(place: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(f"segassess.{module}"))
    if (function := getattr(owner, name, None)) is not None:
        setattr(owner, name, functools.wraps(function)(wrapped(function)))


def _timed(clock: Clock, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def around(*args: Any, **options: Any) -> Iterator[Any]:
        manager = function(*args, **options)
        with clock.running(part):
            value = manager.__enter__()
        try:
            yield value
        except BaseException:
            if not manager.__exit__(*sys.exc_info()):
                raise
        else:
            with clock.running(part):
                manager.__exit__(None, None, None)

    def call(*args: Any, **options: Any) -> Any:
        with clock.running(part):
            return function(*args, **options)

    # What `contextmanager` returns is a function of its own module.
    return around if function.__code__.co_filename == contextmanager.__code__.co_filename else call


def main() -> None:
    """Measure the command line."""
    result, *arguments = sys.argv[1:]
    clock = Clock()

    def begun(run: Callable[..., Any]) -> Callable[..., Any]:
        def first(*args: Any, **options: Any) -> Any:
            clock.begin()
            return run(*args, **options)

        return first

    for part, places in PARTS.items():
        for place in places:
            _replace(place, functools.partial(_timed, clock, part))
    _replace(_FIRST, begun)
    sys.argv = ["segassess", "predict", *arguments]
    try:
        runpy.run_module("segassess", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    clock.end()
    Path(result).write_text(json.dumps(clock.seconds), encoding="utf-8")


if __name__ == "__main__":
    # Beside this file lie modules that are no part of the standard library.
    sys.path.pop(0)
    main()
