"""A data set with the training tiles of others added to its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from segassess.data.tiles import Tile, TileSet


class ExtendedTiles(TileSet):
    """One data set, and others that are only learned from: their training tiles join its training tiles.

    Everything else is the first data set's alone: what selects, what calibrates and what is reported. Its tiles keep name and
    key, so that what a network remembers to have seen means the same with and without the additions.

    Args:
        base: the data set that is extended.
        added: data sets to learn from as well, by name; their tiles are called `<name of the addition>_<their name>`.
    """

    def __init__(self, base: TileSet, added: Mapping[str, TileSet]) -> None:
        super().__init__(base.root)
        self.base = base
        self.added = dict(added)

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        return self._extended(split, self.base.tiles(split))

    def learning_tiles(self, split: str) -> list[Tile]:
        """See `TileSet.learning_tiles`; `train_regions` is the first data set's."""
        return self._extended(split, self.base.learning_tiles(split))

    def selectable_tiles(self) -> list[Tile]:
        """See `TileSet.selectable_tiles`."""
        return self.base.selectable_tiles()

    def mask_folder(self, split: str, source: str) -> Path:
        """See `TileSet.mask_folder`; the masks of additions lie beside their own tiles."""
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
