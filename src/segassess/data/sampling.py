"""Training views by AMS and evaluation by tile.

Generators are seeded by (seed, epoch, tile), never from global state, so an epoch does not depend on workers, ranks or resuming.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from segassess.data.ams import Dihedral, mixing_order
from segassess.data.batch import Batch, Sample, collate, padded
from segassess.data.error_mixing import exchanged
from segassess.data.sources import MaskSource
from segassess.data.tiles import Tile, TilePixels
from segassess.data.transforms import build_augmentation, recoloured
from segassess.errors import RequestError
from segassess.options.sampling import SamplingSettings


@dataclass(frozen=True)
class TileKey:
    """A tile in an epoch; a `filler` repeats a tile to keep ranks in step and never counts."""

    index: int
    epoch: int = 0
    filler: bool = False
    repeat: int = 0  # how often the tile was drawn before in this epoch


def _as_key(key: TileKey | int) -> TileKey:
    """Convert a plain index, as Lightning uses for `trainer.overfit_batches`, to epoch 0: always the same views."""
    return key if isinstance(key, TileKey) else TileKey(key)


class TileSampler(Sampler[TileKey]):
    """Deals tiles to ranks.

    For training (`shuffle`), it permutes tiles by (seed, epoch) and leaves out what does not fill all ranks evenly. With
    `weights` (count,), tiles are drawn as often as these say, in proportion, as many per epoch as there are tiles. For
    evaluation, it deals every tile exactly once and adds fillers, so that all ranks make the same number of steps.
    """

    def __init__(
        self,
        count: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        if count < world:
            raise RequestError(f"{count} tiles cannot be shared between {world} processes; use fewer devices or more tiles.")
        self.count, self.shuffle, self.seed, self.rank, self.world = count, shuffle, seed, rank, world
        self.weights = weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each epoch, also after resuming."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.world if self.shuffle else -(-self.count // self.world)

    def __iter__(self) -> Iterator[TileKey]:
        order, drawn = self._order(), Counter[int]()
        for position in range(len(self) * self.world):
            index = order[position % self.count]
            if position % self.world == self.rank:
                yield TileKey(index, self.epoch, position >= self.count, drawn[index] if self.shuffle else 0)
            drawn[index] += 1

    def _order(self) -> list[int]:
        if not self.shuffle:
            return list(range(self.count))
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.count)
        if self.weights is not None:
            # Systematic sampling: no tile is drawn more than once more or less often than its weight says.
            passed = np.cumsum(self.weights[order])
            order = order[np.searchsorted(passed / passed[-1], (np.arange(self.count) + rng.random()) / self.count)]
            order = rng.permutation(order)
        return [int(index) for index in order]


class _TileDataset(Dataset[list[Sample]]):
    """Tiles with truth and a mask of at least one source; `cache` keeps them in memory."""

    def __init__(self, tiles: Sequence[Tile], sources: Sequence[MaskSource], seed: int, cache: bool) -> None:
        self.tiles = [tile for tile in tiles if tile.truth is not None and any(source.covers(tile) for source in sources)]
        if not self.tiles:
            names = ", ".join(source.name for source in sources) or "none"
            raise RequestError(
                f"No tile has both truth and a mask of the sources {names}; check dataset.root, the split and the sources."
            )
        self.sources = list(sources)
        self.seed = seed
        self._cache: dict[int, TilePixels] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.tiles)

    def _read(self, index: int) -> TilePixels:
        if self._cache is None:
            return self.tiles[index].read()
        if index not in self._cache:
            self._cache[index] = self.tiles[index].read()
        return self._cache[index]


def region_weights(tiles: Sequence[Tile], balance: float) -> NDArray[np.float64]:
    """Weight of each tile, float64 (N,) of mean 1: n to the power of -`balance` in a region of n tiles."""
    count = Counter(tile.region for tile in tiles)
    weights = np.array([count[tile.region] ** -balance for tile in tiles])
    return np.asarray(weights / weights.mean())


class AmsDataset(_TileDataset):
    """Training views: for each tile one independently augmented view per source that covers it, drawn by `settings`.

    If there are fewer `views` than sources, they are drawn without replacement; if more, sources repeat. Whole tiles must have
    one size. `turn=False` leaves turning and mirroring to `training.online_ams`. For views at another ground resolution, see
    `_rescaled`.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        sources: Sequence[MaskSource],
        settings: SamplingSettings,
        *,
        views: int | None = None,
        turn: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(tiles, sources, seed, settings.cache)
        self.settings, self.views, self.turn = settings, views, turn
        self.augmentation = build_augmentation(settings.photometric, settings.geometric)
        regions: dict[str, list[int]] = {}
        for index, tile in enumerate(self.tiles):
            regions.setdefault(tile.region, []).append(index)
        self._regions = list(regions.values())

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How often a tile is drawn, in proportion, float64 (N,); None if all alike, see `sampling.region_balance`."""
        if not self.settings.region_balance:
            return None
        return region_weights(self.tiles, self.settings.region_balance)

    def __getitem__(self, key: TileKey | int) -> list[Sample]:
        key = _as_key(key)
        tile, pixels = self.tiles[key.index], self._read(key.index)
        rng = np.random.default_rng([self.seed, key.epoch, key.index, key.repeat])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        sources = [source for source in self.sources if source.covers(tile)]
        if self.views is not None:
            rounds, rest = divmod(self.views, len(sources))
            sources = sources * rounds + [sources[index] for index in sorted(rng.permutation(len(sources))[:rest])]
        return [self._view(tile, pixels, source, rng, generator) for source in sources]

    def _view(
        self, tile: Tile, pixels: TilePixels, source: MaskSource, rng: np.random.Generator, generator: torch.Generator
    ) -> Sample:
        assert pixels.truth is not None, "tiles without truth are filtered out in the constructor"
        mask = source.mask(tile, pixels, rng)
        if self.settings.exchange and rng.random() < self.settings.exchange:
            others = [other for other in self.sources if other is not source and other.covers(tile)]
            chosen = int(rng.integers(len(others) + 1))
            mask = exchanged(mask, others[chosen].mask(tile, pixels, rng) if chosen < len(others) else pixels.truth, rng)
        planes = {
            "image": pixels.image,
            "mask": mask.astype(np.uint8),
            "truth": pixels.truth.astype(np.uint8),
            "valid": pixels.valid.astype(np.uint8),
        }
        crop, scale = self.settings.crop, self.settings.scale
        if crop is not None and scale and rng.random() < scale:
            side = _rescaled(crop, min(mask.shape), tile.gsd, self.settings.gsd, rng)
            planes = _resized(self._cropped(planes, side, rng), crop)
        if self.settings.recolour and rng.random() < self.settings.recolour:
            planes["image"] = recoloured(planes["image"], self._read(self._other_tile(rng)).image, rng.random())
        if self.augmentation is not None:
            planes = self.augmentation(planes, int(rng.integers(2**31)))
        if crop is not None:
            planes = self._cropped(planes, crop, rng)
        if self.turn:
            planes = _turned(planes, Dihedral.draw(generator))
        return Sample(planes["image"], planes["mask"] > 0, planes["truth"] > 0, planes["valid"] > 0, tile.name, source.name)

    def _other_tile(self, rng: np.random.Generator) -> int:
        """Draw a tile of a region, all regions alike."""
        region = self._regions[int(rng.integers(len(self._regions)))]
        return region[int(rng.integers(len(region)))]

    def _cropped(
        self, planes: Mapping[str, NDArray[np.uint8]], side: int, rng: np.random.Generator
    ) -> dict[str, NDArray[np.uint8]]:
        height, width = planes["mask"].shape
        top, left = int(rng.integers(max(height - side, 0) + 1)), int(rng.integers(max(width - side, 0) + 1))
        if rng.random() < self.settings.object_crops:
            objects = np.flatnonzero(planes["mask"] | planes["truth"])
            if objects.size:
                y, x = np.divmod(objects[rng.integers(objects.size)], width)
                top = int(np.clip(y - side // 2, 0, max(height - side, 0)))
                left = int(np.clip(x - side // 2, 0, max(width - side, 0)))
        return {name: padded(plane[top : top + side, left : left + side], side, side) for name, plane in planes.items()}


def _rescaled(crop: int, tile: int, own: float | None, gsd: tuple[float, float], rng: np.random.Generator) -> int:
    """Side in a tile's pixels of the square that becomes a view of `crop` pixels at another ground resolution, log-uniform.

    It lies in the tile, is at least half of `crop` (from finer views nothing could be learned), and gives a resolution within
    `gsd` if the tile says its own; if all that cannot be, it is the nearest to `crop`.

    Args:
        crop: side of the view, pixels.
        tile: smaller side of the tile, pixels.
        own: resolution of the tile, metres per pixel.
        gsd: finest and coarsest resolution of views, metres per pixel.
        rng: source of randomness.
    """
    low, high = (0.0, float("inf")) if own is None else (gsd[0] / own, gsd[1] / own)
    low, high = max(low, 0.5), min(high, tile / crop)
    factor = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if low < high else min(1.0, tile / crop)
    return max(1, round(crop * factor))


def _resized(planes: Mapping[str, NDArray[np.uint8]], side: int) -> dict[str, NDArray[np.uint8]]:
    """Square planes at another side in pixels: averages where they shrink; of mask, truth and valid what holds for most."""
    resized = {}
    for name, plane in planes.items():
        way = cv2.INTER_AREA if plane.shape[0] > side else cv2.INTER_LINEAR
        many = plane if plane.ndim == 3 else plane * np.uint8(255)
        result = cv2.resize(many, (side, side), interpolation=way)
        resized[name] = np.asarray(result if plane.ndim == 3 else result > 127, np.uint8)
    return resized


def _turned(planes: Mapping[str, NDArray[np.uint8]], dihedral: Dihedral) -> dict[str, NDArray[np.uint8]]:
    turned = {}
    for name, plane in planes.items():
        tensor = torch.from_numpy(np.ascontiguousarray(plane))
        tensor = tensor.permute(2, 0, 1) if plane.ndim == 3 else tensor
        tensor = dihedral.apply(tensor)
        turned[name] = (tensor.permute(1, 2, 0) if plane.ndim == 3 else tensor).numpy()
    return turned


class MixedCollate:
    """Flattens the views of several images and shuffles them by the batch's content, whatever the workers or resuming."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, items: Sequence[Sequence[Sample]]) -> Batch:
        """(images x views) -> shuffled batch."""
        samples = [sample for views in items for sample in views]
        content = zlib.crc32(b"".join(sample.mask.tobytes()[:4096] for sample in samples))
        order = mixing_order(len(samples), torch.Generator().manual_seed(self.seed * 2**32 + content))
        return collate([samples[position] for position in order])


class EvaluationDataset(_TileDataset):
    """Whole tiles, each with its masks of all sources that cover it; generated masks are always the same."""

    def __init__(self, tiles: Sequence[Tile], sources: Sequence[MaskSource], *, seed: int = 0, cache: bool = True) -> None:
        super().__init__(tiles, sources, seed, cache)

    def __getitem__(self, key: TileKey | int) -> list[Sample]:
        key = _as_key(key)
        tile, pixels = self.tiles[key.index], self._read(key.index)
        samples = []
        for source in self.sources:
            if source.covers(tile):
                rng = np.random.default_rng([self.seed, zlib.crc32(tile.name.encode()), zlib.crc32(source.name.encode())])
                mask = source.mask(tile, pixels, rng)
                samples.append(Sample(pixels.image, mask, pixels.truth, pixels.valid, tile.name, source.name))
        if key.filler:
            samples = [replace(sample, valid=np.zeros_like(sample.valid)) for sample in samples]
        return samples


def collate_tiles(items: Sequence[Sequence[Sample]]) -> Batch:
    """Stack all masks of a few tiles in order."""
    return collate([sample for samples in items for sample in samples])
