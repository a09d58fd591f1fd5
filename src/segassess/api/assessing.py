"""`assess`: judge masks with one call."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from segassess.api.arrays import RasterInput
from segassess.api.judge import Judge
from segassess.api.loading import load
from segassess.api.quality_map import QualityMap
from segassess.raster import Georeference


@lru_cache(maxsize=1)
def _box() -> Judge:
    return load()


@overload
def assess(
    image: RasterInput,
    mask: Mapping[str, RasterInput],
    *,
    assessor: Judge | str | Path | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> dict[str, QualityMap]: ...


@overload
def assess(
    image: RasterInput,
    mask: list[Any] | tuple[Any, ...],
    *,
    assessor: Judge | str | Path | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> list[QualityMap]: ...


@overload
def assess(
    image: RasterInput,
    mask: RasterInput,
    *,
    assessor: Judge | str | Path | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> QualityMap: ...


def assess(
    image: RasterInput,
    mask: Any,
    *,
    assessor: Judge | str | Path | None = None,
    label: int | None = None,
    georeference: Georeference | None = None,
) -> QualityMap | dict[str, QualityMap] | list[QualityMap]:
    """Judge one mask of an image, or several, with the bundled assessor or another.

    `assessor` is the result of `load`, or a checkpoint or exported graph to load; None is the bundled assessor, loaded once. All
    other arguments, and the result, are those of `Judge.assess`. Raises InputError if image or mask cannot be used or they have
    no valid pixel in common, CheckpointError if the checkpoint cannot be loaded.
    """
    judge = _box() if assessor is None else assessor if isinstance(assessor, Judge) else load(assessor)
    maps: QualityMap | dict[str, QualityMap] | list[QualityMap] = judge.assess(
        image, mask, label=label, georeference=georeference
    )
    return maps
