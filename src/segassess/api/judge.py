"""Judge masks of an image, given as files or as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

import torch

from segassess.api.arrays import RasterInput, image_array, in_memory, mask_array
from segassess.api.quality_map import OVERVIEW_PIXELS, QualityMap
from segassess.errors import InputError
from segassess.models.assessor.trained_assessor import Description, LoadedAssessor
from segassess.options.fit import FitSettings
from segassess.predict.band_stores import BandsInMemory
from segassess.predict.scene import Source, open_scene
from segassess.predict.scene_job import SceneJob, SceneJudge
from segassess.predict.windows import JoinsFit
from segassess.raster import Georeference

# Name of the only mask.
SOURCE = "mask"


@dataclass(frozen=True)
class Judge:
    """A loaded assessor and how it judges; `segassess.load` makes it."""

    loaded: LoadedAssessor
    settings: SceneJudge  # how scenes are judged
    device: torch.device
    fits: Mapping[str, JoinsFit] = field(default_factory=dict)  # what was learned from masks, by name; see `fit`

    @property
    def description(self) -> Description:
        """What the checkpoint stores besides weights: architecture, decoding, training, calibration."""
        return self.loaded.description

    @overload
    def assess(
        self,
        image: RasterInput,
        mask: Mapping[str, RasterInput],
        *,
        label: int | None = None,
        georeference: Georeference | None = None,
    ) -> dict[str, QualityMap]: ...

    @overload
    def assess(
        self,
        image: RasterInput,
        mask: list[Any] | tuple[Any, ...],
        *,
        label: int | None = None,
        georeference: Georeference | None = None,
    ) -> list[QualityMap]: ...

    @overload
    def assess(
        self, image: RasterInput, mask: RasterInput, *, label: int | None = None, georeference: Georeference | None = None
    ) -> QualityMap: ...

    def assess(
        self,
        image: RasterInput,
        mask: RasterInput | Mapping[str, RasterInput] | Sequence[RasterInput],
        *,
        label: int | None = None,
        georeference: Georeference | None = None,
    ) -> QualityMap | dict[str, QualityMap] | list[QualityMap]:
        """Judge one mask of an image, or several, for which the image is encoded once.

        Args:
            image: a path, or an array (H, W), (H, W, 3), or (H, W, 4) with alpha: uint8, floats in [0, 1], or other numbers,
                which are stretched. Tensors, also (3, H, W), and Pillow images work as well.
            mask: a path of a raster or of polygons, or an array (H, W) whose values > 0 are foreground; several as a dictionary
                or a list.
            label: the foreground value of masks that hold classes.
            georeference: of an image array; None keeps pixel coordinates.

        Returns a `QualityMap`, or a dictionary or list of them as the masks were given. Raises InputError if image or mask cannot
        be used, or they have no valid pixel in common.
        """
        with _as_files(image, mask, georeference) as (image_path, paths):
            maps = self._judged(image_path, paths, label)
        if isinstance(mask, Mapping):
            return maps
        return list(maps.values()) if isinstance(mask, list | tuple) else maps[SOURCE]

    def fit(
        self,
        image: RasterInput,
        mask: RasterInput | Mapping[str, RasterInput] | Sequence[RasterInput],
        *,
        settings: FitSettings | None = None,
        folder: str | Path | None = None,
        label: int | None = None,
        georeference: Georeference | None = None,
    ) -> "Judge":
        """Learn from masks under test, without ground truth; returns a judge for them, and for others of their names.

        Args:
            image: see `assess`.
            mask: see `assess`; from each mask networks learn of their own.
            settings: how long to train, and how.
            folder: keeps the networks, and the state of a training that was interrupted; None keeps nothing.
            label: see `assess`.
            georeference: see `assess`.

        A mask that is too small to learn from is judged by the assessor alone, which a warning says. Raises as `assess` does.
        """
        from segassess.predict.fit.fitting import fit_layers

        with _as_files(image, mask, georeference) as (image_path, paths), ExitStack() as stack:
            place = Path(stack.enter_context(TemporaryDirectory()) if folder is None else folder)
            sources = {source: Source(path, label) for source, path in paths.items()}
            (fits,) = fit_layers([(image_path, sources)], self.settings, settings or FitSettings(), place, self.device)
        return replace(self, fits={**self.fits, **fits})

    def _judged(self, image: str, paths: Mapping[str, str], label: int | None) -> dict[str, QualityMap]:
        sources = {source: Source(path, label) for source, path in paths.items()}
        with open_scene(image, sources, self.settings.rendering) as scene:
            job = SceneJob(scene, self.settings, BandsInMemory(list(paths)), self.fits)
            job.judge_bands()
            job.require_pixels()
            overview = scene.overview(scene.overview_size(OVERVIEW_PIXELS))
        return {source: QualityMap(job, source, overview) for source in paths}

    def __repr__(self) -> str:
        about = self.description
        names = f"assessor={about.assessor['name']}, encoder={about.encoder['name']}"
        return f"Judge({names}, decoding={about.decoding}, checkpoint={self.loaded.digest}, device={self.device})"


def _named(mask: RasterInput | Mapping[str, RasterInput] | Sequence[RasterInput]) -> dict[str, RasterInput]:
    """Masks by name; raises InputError if there are none."""
    if isinstance(mask, Mapping):
        named = {str(source): each for source, each in mask.items()}
    elif isinstance(mask, list | tuple):
        named = {f"{SOURCE}_{number}": each for number, each in enumerate(mask, 1)}
    else:
        named = {SOURCE: mask}  # type: ignore[dict-item]  # a str is a Sequence as well
    if not named:
        raise InputError("mask= holds no mask; give at least one.")
    return named


@contextmanager
def _as_files(
    image: RasterInput, mask: RasterInput | Mapping[str, RasterInput] | Sequence[RasterInput], georeference: Georeference | None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths of an image and of its masks by name, all of which GDAL reads within the block."""
    named = _named(mask)
    with ExitStack() as stack:
        if isinstance(image, str | Path):
            if georeference is not None:
                raise InputError(f"georeference= is for image arrays, and {image} is a file; leave it out.")
            image_path = str(image)
        else:
            image_path = stack.enter_context(_as_file("The image array", image_array(image), georeference))
        paths = {}
        for source, each in named.items():
            name = "The mask array" if source == SOURCE else f"The mask array {source}"
            paths[source] = (
                str(each) if isinstance(each, str | Path) else stack.enter_context(_as_file(name, mask_array(each), None))
            )
        yield image_path, paths


@contextmanager
def _as_file(name: str, bands: Any, georeference: Georeference | None) -> Iterator[str]:
    """An array as the path of a raster; errors name the array instead of the path."""
    with in_memory(bands, georeference) as path:
        try:
            yield path
        except InputError as error:
            raise InputError(str(error).replace(path, name)) from error
