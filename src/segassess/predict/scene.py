"""Judge the masks of one image of any size, band by band, and write all that is known of them."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from segassess.findings.judged_mask import TILE_COLUMNS, JudgedMask, JudgedMaskSweep
from segassess.findings.object_scores import OBJECT_COLUMNS
from segassess.findings.polygon_scores import POLYGON_COLUMNS, PolygonScore
from segassess.findings.review_grid import ReviewGrid
from segassess.models.assessor.base import Assessor
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.calibration import Calibration
from segassess.options.output import OutputSettings as OutputSettings
from segassess.outputs.layers import write_errors, write_objects, write_polygon_scores
from segassess.outputs.rasters import ERROR, QUALITY, REFINED, open_raster, write_style
from segassess.outputs.tables import write_table
from segassess.predict.bands import KeepsBands, judge_band
from segassess.predict.tiling import Tiling, predict_bands
from segassess.predict.windows import assess_windows
from segassess.quality import Decoding
from segassess.raster import Grid, ImageFile, MaskFile, Rendering, VectorMask, open_image, open_mask
from segassess.version import __version__

log = logging.getLogger(__name__)

# Columns that are read at once beside the windows.
_CHUNK = 4096
# Rows that are read at once for an overview.
_STEP = 512


@dataclass(frozen=True)
class SceneJudge:
    """How scenes are judged.

    Attributes:
        assessor: the network, on `device`.
        decoding: "consistent" or "free".
        calibration: of its probabilities.
        device: where to compute.
        tags: what every raster says of its origin.
        tiling: of the windows.
        rendering: how the image becomes RGB.
        output: what is written.
        probe_squares: whether what is missing is looked for where a mask has next to nothing, see `predict.probe_squares`.
    """

    assessor: Assessor
    decoding: Decoding
    calibration: Calibration
    device: torch.device
    tags: Mapping[str, str] = field(default_factory=dict)
    tiling: Tiling = field(default_factory=Tiling)
    rendering: Rendering = field(default_factory=Rendering)
    output: OutputSettings = field(default_factory=OutputSettings)
    probe_squares: bool = True

    @classmethod
    def of(cls, loaded: LoadedAssessor, device: torch.device, **settings: Any) -> Self:
        """Judge with a stored assessor, as its checkpoint describes it; moves it to the device.

        Args:
            loaded: the assessor.
            device: where to compute.
            **settings: `tiling`, `rendering`, `output` and `probe_squares`, where they are not the defaults.
        """
        return cls(
            assessor=loaded.assessor.to(device),
            decoding=loaded.description.decoding,
            calibration=loaded.description.calibration,
            device=device,
            tags={
                "SEGASSESS_VERSION": __version__,
                "SEGASSESS_CHECKPOINT": loaded.digest,
                "SEGASSESS_DECODING": loaded.description.decoding,
            },
            **settings,
        )


@dataclass(frozen=True)
class Scene:
    """An open image and its masks.

    Attributes:
        image: the image.
        masks: by source.
    """

    image: ImageFile
    masks: Mapping[str, MaskFile]

    @property
    def grid(self) -> Grid:
        """Of the image."""
        return self.image.grid

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid.height, self.grid.width

    def layer(self, source: str) -> VectorMask | None:
        """The polygons that a mask was given as; None of a raster."""
        mask = self.masks[source]
        return mask if isinstance(mask, VectorMask) else None

    def overview_size(self, pixels: int) -> tuple[int, int]:
        """Rows and columns of a smaller copy of at most about so many pixels."""
        height, width = self.size
        factor = max(1.0, math.sqrt(height * width / pixels))
        return max(1, round(height / factor)), max(1, round(width / factor))

    def overview(self, source: str, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Pixels float32 (h, w, 3) in [0, 1] and a mask bool (h, w), reduced to a size by leaving out pixels."""
        rows = (np.arange(size[0]) * self.grid.height) // size[0]
        columns = (np.arange(size[1]) * self.grid.width) // size[1]
        pixels, mask = [], []
        for top in range(0, self.grid.height, _STEP):
            chosen = rows[(rows >= top) & (rows < top + _STEP)] - top
            if len(chosen):
                window = slice(top, min(top + _STEP, self.grid.height))
                parts = [slice(left, min(left + _CHUNK, self.grid.width)) for left in range(0, self.grid.width, _CHUNK)]
                picked = [(part, columns[(columns >= part.start) & (columns < part.stop)] - part.start) for part in parts]
                pixels.append(np.hstack([self.image.read(window, part)[0][np.ix_(chosen, at)] for part, at in picked]))
                mask.append(np.hstack([self.masks[source].read(window, part)[0][np.ix_(chosen, at)] for part, at in picked]))
        return np.concatenate(pixels), np.concatenate(mask)

    @property
    def notes(self) -> list[str]:
        """What had to be guessed, with the file it was guessed of."""
        files: list[ImageFile | MaskFile] = [self.image, *self.masks.values()]
        return [f"{file.path}: {note}" for file in files for note in file.notes]


@contextmanager
def open_scene(
    image: str, masks: Mapping[str, str], rendering: Rendering, labels: Mapping[str, int] | None = None
) -> Iterator[Scene]:
    """Open an image and its masks.

    Args:
        image: path.
        masks: path by source.
        rendering: of the image.
        labels: by source, the value that is foreground where a mask is a raster of classes.

    Raises:
        InputError: if one of them cannot be used.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(open_image(image, rendering))
        files = {
            source: stack.enter_context(open_mask(path, opened.grid, (labels or {}).get(source)))
            for source, path in masks.items()
        }
        yield Scene(opened, files)


def judge_bands(
    scene: Scene,
    judge: SceneJudge,
    store: KeepsBands,
    wanted: Callable[[int], bool] = lambda index: True,
    on_window: Callable[[], None] = lambda: None,
) -> None:
    """Judge the bands that are wanted and not there yet.

    Args:
        scene: what to judge.
        judge: how.
        store: where bands are kept.
        wanted: whether the band of an index is.
        on_window: called after each window.

    Raises:
        InputError: if a file cannot be read; what was judged before stays.
    """
    masks = list(scene.masks.values())
    predict = assess_windows(
        judge.assessor,
        scene.image.read,
        [mask.read for mask in masks],
        judge.decoding,
        judge.device,
        probe_squares=judge.probe_squares,
    )
    review = ReviewGrid(*scene.size, judge.output.review_tile)
    asked = [index for index in range(len(judge.tiling.bands(scene.grid.height))) if wanted(index)]
    missing = {index for index in asked if not store.has(index)}
    if 0 < len(missing) < len(asked):
        there = len(asked) - len(missing)
        log.info("%s: bands of rows that are there from an earlier run: %d of %d.", scene.image.path, there, len(asked))
    for band in predict_bands(scene.size, predict, judge.tiling, missing.__contains__, on_window):
        rows = slice(band.top, band.bottom)
        unreadable = scene.image.unreadable_pixels(rows)
        judged = [
            judge_band(probabilities, mask.read(rows)[0], judge.calibration, review, band.top, unreadable)
            for mask, probabilities in zip(masks, band.answers, strict=True)
        ]
        band.answers.clear()
        store.save(band.index, judged)
        del judged


def write_mask_results(scene: Scene, source: str, judge: SceneJudge, store: KeepsBands, folder: Path) -> JudgedMask:
    """Put the bands of a mask together and write its maps, layers and tables.

    Args:
        scene: the scene, all of whose bands are in the store.
        source: of the mask.
        judge: how it was judged.
        store: where bands are kept.
        folder: where files go.

    Raises:
        InputError: if the mask is a layer of polygons whose file is not there any more.
        RequestError: if the folder cannot be written to.
        OutputError: if the disk is full.
    """
    grid, output, layer = scene.grid, judge.output, scene.layer(source)
    sweep = JudgedMaskSweep(grid, output.review_tile, output.min_area_m2, output.rim_px, layer)
    with ExitStack() as stack:
        quality, error, refined = (
            stack.enter_context(open_raster(folder / name, kind, grid, judge.tags))
            for name, kind in (("quality.tif", QUALITY), ("error.tif", ERROR), ("refined.tif", REFINED))
        )
        for index, (top, _) in enumerate(judge.tiling.bands(grid.height)):
            band = store.load(index, source)
            quality.write(band.quality)
            error.write(band.error)
            refined.write(band.refined)
            sweep.add(band, top)
    write_style(folder / "quality.qml")
    judged = sweep.finish()
    findings = judged.findings
    for suffix in ("gpkg", "geojson")[: 1 + output.geojson]:
        write_errors(folder / f"errors.{suffix}", findings.errors, grid.georeference, output.simplify_px)
        write_objects(folder / f"objects.{suffix}", findings.objects, grid.georeference, output.simplify_px)
    objects = ({name: getattr(each, name) for name in OBJECT_COLUMNS} for each in findings.objects)
    write_table(folder / "objects.csv", OBJECT_COLUMNS, objects, parquet=output.parquet)
    if layer is not None:
        _write_polygons(layer, findings.polygons, output, folder)
    write_table(folder / "tiles.csv", TILE_COLUMNS, judged.tiles, parquet=output.parquet)
    return judged


def _write_polygons(layer: VectorMask, polygons: Sequence[PolygonScore], output: OutputSettings, folder: Path) -> None:
    """The layer again, with what is estimated of each polygon, and the same as a table without the layer's own columns."""
    attributes = layer.attributes([each.feature for each in polygons])
    for suffix in ("gpkg", "geojson")[: 1 + output.geojson]:
        write_polygon_scores(folder / f"polygons.{suffix}", polygons, attributes, layer.grid.georeference)
    rows = ({name: getattr(each, name) for name in POLYGON_COLUMNS} for each in polygons)
    write_table(folder / "polygons.csv", POLYGON_COLUMNS, rows, parquet=output.parquet)
