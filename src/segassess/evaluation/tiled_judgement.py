"""`python tiled_judgement.py RESULT QUALITY ERROR ARGUMENTS`: run `segassess predict ARGUMENTS` without its judging.

What a network said comes from the maps of an earlier judgement, laid out like the image. The numbers of findings and the seconds
and megabytes go to RESULT as JSON. Imports segassess from wherever it is found, so that the same file measures another commit;
`findings_cost.py` starts it.
"""

import importlib
import json
import resource
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

# Columns that are counted at once.
_CHUNK = 1024


class TiledBands:
    """Judged bands from maps of quality codes and P(error), where a class that the mask rules out has P = 0."""

    def __init__(self, quality: str, error: str) -> None:
        from segassess.findings.review_grid import ReviewGrid
        from segassess.predict.tiling import Tiling

        self._quality, self._error = rasterio.open(quality), rasterio.open(error)
        self._spans = Tiling().bands(self._quality.height)
        self._review = ReviewGrid(self._quality.height, self._quality.width)

    def load(self, index: int, source: str) -> Any:
        """A band of rows as `JudgedBand`, see `KeepsBands`."""
        from segassess.findings.bands import NODATA, JudgedBand, probabilities_of
        from segassess.quality import FN, FP, TP

        quality, steps, mask = self.planes(index, source, ("quality", "error", "mask"))
        true, missing = (np.zeros(mask.shape, np.float16) for _ in range(2))
        top, _ = self._spans[index]
        counts = np.zeros((*self._review.rows_of(top, len(mask)), 4))
        for left in range(0, mask.shape[1], _CHUNK):
            part = np.s_[:, left : left + _CHUNK]
            error, inside, known = probabilities_of(steps[part]), mask[part], steps[part] != NODATA
            planes = np.zeros((4, *inside.shape), np.float32)
            for code, where, value in ((TP, inside, 1 - error), (FP, inside, error), (FN, ~inside, error)):
                planes[code] = np.where(where & known, value, 0)
            true[part], missing[part] = planes[TP], planes[FN]
            counts += self._review.counts(planes, known, top, left)
        return JudgedBand(quality, steps, mask, true, missing, counts)

    def planes(self, index: int, source: str, names: Sequence[str]) -> list[NDArray[Any]]:
        """The planes `quality`, `error` and `mask` of a band, see `KeepsBands`."""
        from segassess.quality import FP, TP

        top, bottom = self._spans[index]
        window = Window(0, top, self._quality.width, bottom - top)
        planes = {"quality": self._quality.read(1, window=window), "error": self._error.read(1, window=window)}
        planes["mask"] = np.isin(planes["quality"], (TP, FP))
        return [planes[name] for name in names]


def peak_megabytes() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure the command line."""
    result, quality, error, *arguments = sys.argv[1:]
    job, store = (
        getattr(importlib.import_module(f"segassess.predict.{module}"), name)
        for module, name in (("scene_job", "SceneJob"), ("band_stores", "BandStore"))
    )
    bands = TiledBands(quality, error)
    started: list[float] = []
    job.judge_bands = lambda *_, **__: started.extend([time.process_time(), peak_megabytes()])
    store.has = lambda *_: True
    store.load = lambda _, *place: bands.load(*place)
    store.planes = lambda _, *place: bands.planes(*place)
    sys.argv = ["segassess", "predict", *arguments]
    try:
        runpy.run_module("segassess", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    begun, before = started
    spent = {"cpu_seconds": time.process_time() - begun, "megabytes_before": before, "peak_megabytes": peak_megabytes()}
    Path(result).write_text(json.dumps(spent), encoding="utf-8")


if __name__ == "__main__":
    # Beside this file lie modules that are no part of the standard library.
    sys.path.pop(0)
    main()
