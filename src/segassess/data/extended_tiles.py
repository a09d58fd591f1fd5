"""A data set extended by the training tiles of others."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from segassess.data.tiles import Tile, TileSet


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
