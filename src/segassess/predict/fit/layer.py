"""A layer under test: the scenes of one mask source, and random crops of them to learn from."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self, TypeAlias

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray

from segassess.options.fit import FitSettings
from segassess.predict.fit.blocks import Blocks
from segassess.predict.scene import Scene, Source, identity, open_scene
from segassess.predict.tiling import Area
from segassess.raster import Rendering

# Scenes kept open at once.
_OPEN = 32
# A crop is drawn again, at most so often, where less than this share of it can be learned from, or where it is all background.
_TRIES, _LEAST = 20, 0.25
# Background further from any object than so many pixels counts so much: what looks the same elsewhere decides.
_FAR_PX, _FAR_WEIGHT = 128, 0.02
# Factor by which the size of objects varies, and range of changes of brightness, contrast and colour.
_SIZES, _CONTRAST, _SHIFT, _COLOUR = 1.25, 0.2, 0.1, 0.05

# Where labels are not to be learned from, bool (h, w): of an image, a window's rows and columns, its pixels and foregrounds.
Contradicted: TypeAlias = Callable[[str, Area, NDArray[np.float32], NDArray[np.bool_]], NDArray[np.bool_]]


@dataclass(frozen=True)
class LayerScene:
    """One scene of a layer: an image, its mask, or those of the layer's classes, and the ground under it.

    Scenes of one `group` show the same ground, and so do those with an `origin`, see `Blocks`.
    """

    image: str
    masks: tuple[Source, ...]
    group: int = 0
    origin: tuple[int, int] | None = None

    def blocks(self, settings: FitSettings) -> Blocks:
        """The blocks of its ground."""
        return Blocks(settings.block_px, settings.folds, self.group % settings.folds, self.origin)


@dataclass(frozen=True)
class Crops:
    """A batch of crops: images (B, 3, c, c) in [0, 1], masks (B, K, c, c) in [0, 1], weights (B, 1, c, c) in [0, 1]; float32."""

    images: NDArray[np.float32]
    masks: NDArray[np.float32]
    weights: NDArray[np.float32]


class Layer:
    """The scenes of a layer of K classes, opened when they are needed; a context manager that closes them."""

    def __init__(self, scenes: Sequence[LayerScene], rendering: Rendering, classes: Sequence[str] = ("mask",)) -> None:
        self.scenes, self.rendering, self.classes = list(scenes), rendering, list(classes)
        self._open: OrderedDict[int, tuple[ExitStack, Scene]] = OrderedDict()
        self._environment = ExitStack()
        self._sizes: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        # Scenes are closed in any order, which rasterio bears within an environment that outlives them all.
        self._environment.enter_context(rasterio.Env())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._open:
            self._open.popitem()[1][0].close()
        self._environment.close()

    def scene(self, index: int) -> Scene:
        """An open scene; raises InputError if it cannot be used."""
        if index not in self._open:
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)[1][0].close()
            stack, about = ExitStack(), self.scenes[index]
            masks = dict(zip(self.classes, about.masks, strict=True))
            scene = stack.enter_context(open_scene(about.image, masks, self.rendering))
            self._open[index] = stack, scene
            self._sizes[index] = scene.size
        self._open.move_to_end(index)
        return self._open[index][1]

    def fingerprint(self, settings: FitSettings) -> str:
        """Hash of all that a training depends on: the inputs and the settings."""
        inputs = [
            (identity(each.image), [(identity(mask.path), mask.label) for mask in each.masks], each.group, each.origin)
            for each in self.scenes
        ]
        about = [asdict(settings), asdict(self.rendering), inputs]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Rows and columns of each scene."""
        for index in range(len(self.scenes)):
            if index not in self._sizes:
                self.scene(index)
        return [self._sizes[index] for index in range(len(self.scenes))]

    def windows(self, side: int, rng: np.random.Generator, pixels: int | None = None) -> list[tuple[int, slice, slice]]:
        """Windows of all scenes in random order: scene, rows and columns; as many as hold about so many pixels, or all."""
        places = [
            (index, slice(top, min(top + side, height)), slice(left, min(left + side, width)))
            for index, (height, width) in enumerate(self.sizes)
            for top in range(0, height, side)
            for left in range(0, width, side)
        ]
        order = rng.permutation(len(places))
        if pixels is None:
            return [places[place] for place in order]
        # Many small scenes count as much as a few windows of a large one.
        areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for _, rows, columns in places]
        most = int(np.searchsorted(np.cumsum([areas[place] for place in order]), pixels)) + 1
        return [places[place] for place in order[:most]]

    def window(self, index: int, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Pixels (h, w, 3), foreground of each class (K, h, w) and validity (h, w) of a window."""
        scene = self.scene(index)
        pixels, valid = scene.image.read(rows, columns)
        read = [scene.masks[name].read(rows, columns) for name in self.classes]
        return pixels, np.stack([foreground for foreground, _ in read]), valid & np.all([known for _, known in read], axis=0)

    def crops(self, fold: int, step: int, settings: FitSettings, scale: float, contradicted: Contradicted | None = None) -> Crops:
        """Crops for a step of the training of a fold, the same for the same step, and as large as `settings` says.

        `scale` is the size of a pixel of the scene in pixels of the crop. Half of the crops hold foreground where it can be had.
        What is `contradicted` has weight 0.
        """
        rng = np.random.default_rng((settings.seed, fold, step))
        wanted = (number % 2 == 0 for number in range(settings.batch_size))
        drawn = [self._crop(fold, rng, settings, scale, contradicted, wanted=each) for each in wanted]
        return Crops(*(np.stack(planes) for planes in zip(*drawn, strict=True)))

    def _crop(
        self,
        fold: int,
        rng: np.random.Generator,
        settings: FitSettings,
        scale: float,
        contradicted: Contradicted | None,
        *,
        wanted: bool,
    ) -> tuple[NDArray[np.float32], ...]:
        areas = np.array([height * width for height, width in self.sizes], float)
        best, most = None, -1.0
        for _ in range(_TRIES):
            index = int(rng.choice(len(areas), p=areas / areas.sum()))
            factor = scale * _SIZES ** rng.uniform(-1, 1)
            height, width = self._sizes[index]
            rows, columns = (_span(length, round(settings.crop / factor), rng) for length in (height, width))
            learnable = self.scenes[index].blocks(settings).learnable(fold, rows, columns, settings.guard_px, (height, width))
            if learnable.mean() < _LEAST and best is not None:
                continue
            pixels, foreground, valid = self.window(index, rows, columns)
            weight, mapped = learnable & valid, np.asarray(foreground.any(axis=0))
            worth = weight.mean() * (1 + (mapped & weight).any() * wanted)
            if worth > most:
                best, most = (index, (rows, columns), pixels, foreground, mapped, weight, factor), worth
            if weight.mean() >= _LEAST and (not wanted or (mapped & weight).any()):
                break
        assert best is not None
        index, area, pixels, foreground, mapped, weight, factor = best
        if contradicted is not None:
            weight = weight & ~contradicted(self.scenes[index].image, area, pixels, foreground)
        return _augmented(pixels, foreground, weight * _trust(mapped), factor, settings.crop, rng)


def _trust(mapped: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far background is to be trusted: little where no object is near, since nobody may have mapped there; float32 (h, w)."""
    if not mapped.any():
        return np.full(mapped.shape, _FAR_WEIGHT, np.float32)
    distance = cv2.distanceTransform((~mapped).astype(np.uint8), cv2.DIST_L2, 3)
    return np.where(distance > _FAR_PX, np.float32(_FAR_WEIGHT), np.float32(1))


def _span(length: int, side: int, rng: np.random.Generator) -> slice:
    """A random span of `side` in [0, length), or all of it."""
    start = int(rng.integers(0, max(length - side, 0) + 1))
    return slice(start, min(start + side, length))


def _augmented(
    pixels: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    weight: NDArray[np.float32],
    factor: float,
    side: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], ...]:
    """Resized by a factor to at most `side`, turned, mirrored and recoloured; what a small scene does not fill has weight 0.

    Takes pixels (h, w, 3), foreground (K, h, w) and weight (h, w).
    """
    height, width = weight.shape
    width, height = (min(max(1, round(length * factor)), side) for length in (width, height))
    size, smooth = (width, height), cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(pixels, size, interpolation=smooth)
    mask = np.stack([cv2.resize(each.astype(np.float32), size, interpolation=smooth) for each in foreground], axis=-1)
    learned = cv2.resize(weight, size, interpolation=cv2.INTER_NEAREST)
    missing = ((0, side - height), (0, side - width))
    image = np.pad(image, (*missing, (0, 0)), mode="edge")
    mask, learned = np.pad(mask, (*missing, (0, 0))), np.pad(learned, missing)
    planes = np.dstack([image, mask, learned])
    planes = np.rot90(planes, int(rng.integers(4)))
    if rng.integers(2):
        planes = planes[:, ::-1]
    image = (planes[..., :3] - 0.5) * rng.uniform(1 - _CONTRAST, 1 + _CONTRAST) + 0.5
    image = np.clip(image + rng.uniform(-_SHIFT, _SHIFT) + rng.uniform(-_COLOUR, _COLOUR, 3), 0, 1)
    mask, learned = planes[..., 3:-1], planes[..., -1:]
    return tuple(np.ascontiguousarray(each.transpose(2, 0, 1), np.float32) for each in (image, mask, learned))
