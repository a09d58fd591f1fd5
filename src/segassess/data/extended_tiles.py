"""Data sets made of others: one with the training tiles of others added to its own, and several as one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segassess.data.tiles import SPLITS, Tile, TileSet
from segassess.errors import RequestError


class ExtendedTiles(TileSet):
    """Adds the training tiles of other data sets, called `<data set>_<tile>`, to those of `base`.

    Selection, calibration and results use `base` alone. Its tiles keep name and key, so that a network's record of seen tiles
    means the same with and without additions.
    """

    def __init__(self, base: TileSet, added: Mapping[str, TileSet]) -> None:
        super().__init__(base.root)
        self.base = base
        self.added = dict(added)

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        return self._extended(split, self.base.tiles(split))

    def learning_tiles(self, split: str) -> list[Tile]:
        """See `TileSet.learning_tiles`; `train_regions` is that of `base`."""
        return self._extended(split, self.base.learning_tiles(split))

    def selectable_tiles(self) -> list[Tile]:
        """See `TileSet.selectable_tiles`."""
        return self.base.selectable_tiles()

    def mask_folder(self, split: str, source: str) -> Path:
        """See `TileSet.mask_folder`; masks of additions lie beside their own tiles."""
        return self.base.mask_folder(split, source)

    def _extended(self, split: str, tiles: list[Tile]) -> list[Tile]:
        if split != "train":
            return tiles
        return tiles + [
            replace(
                tile,
                name=f"{name}_{tile.name}",
                key=f"{name}/{tile.key}",
                group=f"{name}/{tile.group}",
                region=f"{name}/{tile.region}",
            )
            for name, other in self.added.items()
            for tile in other.learning_tiles("train")
        ]


class JoinedTiles(TileSet):
    """Several data sets as one: each split holds the tiles of all that have it.

    Tiles keep name and key, so that what a network remembers to have seen means the same in each part; so these must differ.

    Args:
        parts: the data sets by name; masks of segmenters are drawn in the folders of the first.
    """

    def __init__(self, parts: Mapping[str, TileSet]) -> None:
        self.parts = dict(parts)
        super().__init__(next(iter(self.parts.values())).root)

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        return self._joined(split, [part.tiles for part in self.parts.values()])

    def learning_tiles(self, split: str) -> list[Tile]:
        """See `TileSet.learning_tiles`; each part has its own `train_regions`."""
        return self._joined(split, [part.learning_tiles for part in self.parts.values()])

    def mask_folder(self, split: str, source: str) -> Path:
        """See `TileSet.mask_folder`."""
        return next(iter(self.parts.values())).mask_folder(split, source)

    @staticmethod
    def _joined(split: str, readers: Sequence[Callable[[str], list[Tile]]]) -> list[Tile]:
        tiles: list[Tile] = []
        refusals: list[RequestError] = []
        for read in readers:
            try:
                tiles += read(split)
            except RequestError as refusal:
                if split in SPLITS:
                    raise
                # Not every part has a split beyond these three.
                refusals.append(refusal)
        if len(refusals) == len(readers):
            raise refusals[0]
        keys = [tile.key for tile in tiles]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise RequestError(f"The tile {twice} lies in several parts of the joined data set; leave one out.")
        return tiles
