"""`assess` and `fit`: judge masks, or learn from them, with one call."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

from segassess.api.arrays import RasterInput
from segassess.api.judge import Judge
from segassess.api.loading import load
from segassess.api.quality_map import QualityMap
from segassess.options.fit import FitSettings
from segassess.raster import Georeference


def fit(
    image: RasterInput,
    mask: RasterInput | Mapping[str, RasterInput] | Sequence[RasterInput],
    *,
    assessor: Judge | str | Path | None = None,
    settings: FitSettings | None = None,
    folder: str | Path | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> Judge:
    """Learn from masks under test, and return a judge for them; `assessor` as in `assess`, all else as in `Judge.fit`."""
    judge = _judge(assessor)
    return judge.fit(image, mask, settings=settings, folder=folder, label=label, georeference=georeference)


def _judge(assessor: Judge | str | Path | None) -> Judge:
    return _bundled() if assessor is None else assessor if isinstance(assessor, Judge) else load(assessor)


@lru_cache(maxsize=1)
def _bundled() -> Judge:
    return load()


@overload
def assess(
    image: RasterInput,
    mask: Mapping[str, RasterInput],
    *,
    assessor: Judge | str | Path | None = None,
    fit: FitSettings | Literal["layer"] | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> dict[str, QualityMap]: ...


@overload
def assess(
    image: RasterInput,
    mask: list[Any] | tuple[Any, ...],
    *,
    assessor: Judge | str | Path | None = None,
    fit: FitSettings | Literal["layer"] | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> list[QualityMap]: ...


@overload
def assess(
    image: RasterInput,
    mask: RasterInput,
    *,
    assessor: Judge | str | Path | None = None,
    fit: FitSettings | Literal["layer"] | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> QualityMap: ...


def assess(
    image: RasterInput,
    mask: Any,
    *,
    assessor: Judge | str | Path | None = None,
    fit: FitSettings | Literal["layer"] | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> QualityMap | dict[str, QualityMap] | list[QualityMap]:
    """Judge one mask of an image, or several, with the bundled assessor or another.

    `assessor` is the result of `load` or `fit`, or a checkpoint or exported graph to load; None is the bundled assessor, loaded
    once. With `fit="layer"`, or settings, networks first learn from the masks themselves, see `Judge.fit`. All other arguments,
    and the result, are those of `Judge.assess`. Raises InputError if image or mask cannot be used or they have no valid pixel in
    common, CheckpointError if the checkpoint cannot be loaded.
    """
    judge = _judge(assessor)
    if fit is not None:
        settings = fit if isinstance(fit, FitSettings) else FitSettings(name=fit)
        judge = judge.fit(image, mask, settings=settings, label=label, georeference=georeference)
    maps: QualityMap | dict[str, QualityMap] | list[QualityMap] = judge.assess(
        image, mask, label=label, georeference=georeference
    )
    return maps
