"""Where masks come from: folders of masks, perturbations of the truth, a classical segmenter.

A source answers one question: the mask of this tile. Sources that need randomness draw it from the generator they are handed,
so that a training run, its resumption and an evaluation are each reproducible.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from segassess.data.discriminant import DiscriminantSegmenter
from segassess.data.tiles import Tile, TilePixels, sources_on_disk
from segassess.errors import InputError, RequestError
from segassess.synthetic.perturbations import RECIPES, Recipe, perturb

DISCRIMINANT = "discriminant"


class MaskSource(ABC):
    """Somebody or something that draws masks.

    Attributes:
        name: the source's name in configs and results.
    """

    name: str

    def covers(self, tile: Tile) -> bool:
        """Whether this source has, or can draw, a mask of the tile."""
        return tile.truth is not None

    @abstractmethod
    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The mask of a tile: bool (H, W)."""


class FileSource(MaskSource):
    """Masks that lie beside the data (`seg_preds/<name>`, `label_uncheck`)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def covers(self, tile: Tile) -> bool:
        """Whether a file exists for this tile."""
        return self.name in tile.masks

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Read the file."""
        mask = tile.read_mask(self.name)
        if mask.shape != pixels.image.shape[:2]:
            raise InputError(
                f"{tile.masks[self.name]} has {mask.shape} pixels, its image has {pixels.image.shape[:2]}; they must match."
            )
        return mask


class PerturbedSource(MaskSource):
    """The truth, damaged by a recipe; drawn anew at every call."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.name = name
        self.recipe = recipe

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Perturb the truth of the tile."""
        if pixels.truth is None:
            raise InputError(f"{tile.name} has no truth that could be perturbed; use a source that lies beside the data.")
        return perturb(pixels.truth, pixels.image, rng, self.recipe)


class TruthSource(MaskSource):
    """The truth itself: what a segmenter learns."""

    name = "truth"

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The truth of the tile."""
        if pixels.truth is None:
            raise InputError(f"{tile.name} has no truth to learn from.")
        return pixels.truth


class DiscriminantSource(MaskSource):
    """Masks of the classical segmenter, fitted on the training tiles; the same at every call."""

    name = DISCRIMINANT

    def __init__(self, segmenter: DiscriminantSegmenter) -> None:
        self.segmenter = segmenter

    def covers(self, tile: Tile) -> bool:
        """It can draw a mask over any image."""
        return True

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Segment the image."""
        return self.segmenter.predict(pixels.image)


def fit_discriminant(tiles: Iterable[Tile], seed: int = 0) -> DiscriminantSegmenter:
    """Fit the classical segmenter on tiles with truth."""
    images: list[NDArray[np.uint8]] = []
    truths: list[NDArray[np.bool_]] = []
    for tile in tiles:
        pixels = tile.read()
        if pixels.truth is not None:
            images.append(pixels.image)
            truths.append(pixels.truth)
    segmenter = DiscriminantSegmenter()
    segmenter.fit(images, truths, seed=seed)
    return segmenter


def available_sources(tiles: Sequence[Tile], made: Sequence[str]) -> list[str]:
    """Names of all sources of these tiles: those on disk, then those that are made (`made`, from the config)."""
    on_disk = sources_on_disk(tiles)
    return [*on_disk, *(name for name in made if name not in on_disk)]


def make_source(
    name: str, learning_tiles: Callable[[], Sequence[Tile]], on_disk: Sequence[str] = (), seed: int = 0
) -> MaskSource:
    """Build a source that is made rather than read: a recipe's name, or "discriminant".

    Args:
        name: of the source.
        learning_tiles: the training tiles, asked for only where a source must learn.
        on_disk: sources that could have been read instead, for the error.
        seed: of what a source learns.

    Raises:
        RequestError: if nothing of that name can be made.
    """
    if name in RECIPES:
        return PerturbedSource(name, RECIPES[name])
    if name == DISCRIMINANT:
        return DiscriminantSource(fit_discriminant(learning_tiles(), seed))
    known = ", ".join([*on_disk, *RECIPES, DISCRIMINANT])
    raise RequestError(
        f"No tile has a mask of the source {name!r}; there are {known}. "
        f"A segmenter's masks are drawn by train.py task=crossfit or predict.py task=segmenter."
    )
