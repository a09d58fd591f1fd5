"""Stores that keep judged bands of rows until the raster is whole."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from segassess.files import atomic_path
from segassess.findings.array_store import ArrayStore
from segassess.findings.bands import JudgedBand


class KeepsBands(Protocol):
    """Keeps judged bands until the raster is whole; bands count from 0 at the top."""

    def has(self, index: int) -> bool:
        """Whether the band is there for all masks."""

    def save(self, index: int, bands: Sequence[JudgedBand]) -> None:
        """Keep the band of each mask, in the order of the sources."""

    def load(self, index: int, source: str) -> JudgedBand:
        """The band of one mask."""

    def planes(self, index: int, source: str, names: Sequence[str]) -> list[NDArray[Any]]:
        """Some arrays of the band of one mask, by the names that `JudgedBand` gives them."""

    def arrays(self) -> ArrayStore:
        """Where findings are kept while they are gathered from the bands, and until they are written."""


class BandStore:
    """Judged bands on disk, so that an interrupted run continues and several processes can share a raster.

    A band appears whole or not at all. Each request, known by its `fingerprint`, has its own subfolder.
    """

    def __init__(self, folder: Path, fingerprint: str, sources: Sequence[str]) -> None:
        self._root = folder
        self.folder = folder / hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
        self._sources = list(sources)

    def remove_others(self) -> None:
        """Remove bands of other requests."""
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            if folder.is_dir() and folder != self.folder:
                shutil.rmtree(folder)

    def clear(self) -> None:
        """Remove all bands of this request."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def has(self, index: int) -> bool:
        """See `KeepsBands`."""
        return all(self._path(index, source).is_file() for source in self._sources)

    def save(self, index: int, bands: Sequence[JudgedBand]) -> None:
        """See `KeepsBands`; raises RequestError if the folder cannot be written to, OutputError if the disk is full."""
        for source, band in zip(self._sources, bands, strict=True):
            content = {**vars(band), "mask": np.packbits(band.mask, axis=1)}
            content = {name: each for name, each in content.items() if each is not None}
            with atomic_path(self._path(index, source)) as beside, beside.open("wb") as file:
                _savez(file, content)

    def load(self, index: int, source: str) -> JudgedBand:
        """See `KeepsBands`; raises OSError if the band is missing or cannot be read."""
        with np.load(self._path(index, source)) as stored:
            names = list(stored.files)
        content = dict(zip(names, self.planes(index, source, names), strict=True))
        return JudgedBand(**{**content, "unreadable": int(content["unreadable"])})

    def planes(self, index: int, source: str, names: Sequence[str]) -> list[NDArray[Any]]:
        """See `KeepsBands`; raises OSError if the band is missing or cannot be read."""
        with np.load(self._path(index, source)) as stored:
            content = {name: stored[name] for name in names}
            if "mask" in content:
                width = (content["quality"] if "quality" in content else stored["quality"]).shape[1]
                content["mask"] = np.unpackbits(content["mask"], axis=1, count=width).view(bool)
        return list(content.values())

    def arrays(self) -> ArrayStore:
        """See `KeepsBands`; raises RequestError if the folder cannot be written to."""
        return ArrayStore(self.folder)

    def _path(self, index: int, source: str) -> Path:
        # A source may contain characters that a file name may not.
        return self.folder / hashlib.sha256(source.encode()).hexdigest()[:12] / f"band_{index:06d}.npz"


def _savez(file: BinaryIO, content: Mapping[str, Any]) -> None:
    """Write arrays as `np.savez_compressed` does, but quickly: bands are read soon and removed."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, each in content.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(each), allow_pickle=False)


class BandsInMemory:
    """Judged bands in memory, for rasters that fit into it."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = list(sources)
        self._bands: dict[int, list[JudgedBand]] = {}

    def has(self, index: int) -> bool:
        """See `KeepsBands`."""
        return index in self._bands

    def save(self, index: int, bands: Sequence[JudgedBand]) -> None:
        """See `KeepsBands`."""
        self._bands[index] = list(bands)

    def load(self, index: int, source: str) -> JudgedBand:
        """See `KeepsBands`."""
        return self._bands[index][self._sources.index(source)]

    def planes(self, index: int, source: str, names: Sequence[str]) -> list[NDArray[Any]]:
        """See `KeepsBands`."""
        band = self.load(index, source)
        return [getattr(band, name) for name in names]

    def arrays(self) -> ArrayStore:
        """See `KeepsBands`."""
        return ArrayStore()
