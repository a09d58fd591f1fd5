"""Mask sources: mask files, perturbed truth, a classical segmenter. Randomness comes only from the generator passed in."""

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
    """Draws masks of tiles; `name` identifies it in configs and results."""

    name: str

    def covers(self, tile: Tile) -> bool:
        """Whether this source has, or can draw, a mask of the tile."""
        return tile.truth is not None

    @abstractmethod
    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Mask of a tile: bool (H, W)."""


class FileSource(MaskSource):
    """Mask files beside the data (`seg_preds/<name>`, `label_uncheck`)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def covers(self, tile: Tile) -> bool:
        """See `MaskSource.covers`."""
        return self.name in tile.masks

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """See `MaskSource.mask`; InputError if mask and image differ in size."""
        mask = tile.read_mask(self.name)
        if mask.shape != pixels.image.shape[:2]:
            raise InputError(
                f"{tile.masks[self.name]} has {mask.shape} pixels, its image has {pixels.image.shape[:2]}; they must match."
            )
        return mask


class PerturbedSource(MaskSource):
    """The truth, damaged by a recipe at random in each call."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.name = name
        self.recipe = recipe

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """See `MaskSource.mask`."""
        if pixels.truth is None:
            raise InputError(f"{tile.name} has no truth to perturb; use a source of mask files.")
        return perturb(pixels.truth, pixels.image, rng, self.recipe)


class TruthSource(MaskSource):
    """The truth itself, for training a segmenter."""

    name = "truth"

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """See `MaskSource.mask`."""
        if pixels.truth is None:
            raise InputError(f"{tile.name} has no truth to learn from.")
        return pixels.truth


class DiscriminantSource(MaskSource):
    """Masks of the classical segmenter, the same in every call."""

    name = DISCRIMINANT

    def __init__(self, segmenter: DiscriminantSegmenter) -> None:
        self.segmenter = segmenter

    def covers(self, tile: Tile) -> bool:
        """See `MaskSource.covers`; it covers every tile."""
        return True

    def mask(self, tile: Tile, pixels: TilePixels, rng: np.random.Generator) -> NDArray[np.bool_]:
        """See `MaskSource.mask`."""
        return self.segmenter.predict(pixels.image)


def fit_discriminant(tiles: Iterable[Tile], seed: int = 0) -> DiscriminantSegmenter:
    """Fit the classical segmenter on tiles with truth."""
    pairs = [(pixels.image, pixels.truth) for pixels in map(Tile.read, tiles) if pixels.truth is not None]
    return DiscriminantSegmenter().fit([image for image, _ in pairs], [truth for _, truth in pairs], seed=seed)


def available_sources(tiles: Sequence[Tile], made: Sequence[str]) -> list[str]:
    """Names of the sources on disk, then of those that are generated."""
    on_disk = sources_on_disk(tiles)
    return [*on_disk, *(name for name in made if name not in on_disk)]


def make_source(
    name: str, learning_tiles: Callable[[], Sequence[Tile]], on_disk: Sequence[str] = (), seed: int = 0
) -> MaskSource:
    """Build a generated source: a recipe's name, or "discriminant".

    `learning_tiles` is called only if the source must learn; `on_disk` is for the message. Raises RequestError for unknown
    names.
    """
    if name in RECIPES:
        return PerturbedSource(name, RECIPES[name])
    if name == DISCRIMINANT:
        return DiscriminantSource(fit_discriminant(learning_tiles(), seed))
    known = ", ".join([*on_disk, *RECIPES, DISCRIMINANT])
    raise RequestError(
        f"No tile has a mask of the source {name!r}; choose from {known}, "
        f"or draw a segmenter's masks with train.py task=crossfit or predict.py task=segmenter."
    )
