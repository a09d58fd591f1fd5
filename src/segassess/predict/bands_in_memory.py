"""Judged bands of rasters that fit into memory."""

from collections.abc import Sequence

from segassess.predict.bands import JudgedBand


class BandsInMemory:
    """Keeps judged bands as they are; see `KeepsBands`.

    Args:
        sources: names of the masks.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = list(sources)
        self._bands: dict[int, list[JudgedBand]] = {}

    def has(self, index: int) -> bool:
        """Whether the band of all masks is there."""
        return index in self._bands

    def save(self, index: int, bands: Sequence[JudgedBand]) -> None:
        """Keep a band of each mask, in the order of the sources."""
        self._bands[index] = list(bands)

    def load(self, index: int, source: str) -> JudgedBand:
        """A band of one mask."""
        return self._bands[index][self._sources.index(source)]
