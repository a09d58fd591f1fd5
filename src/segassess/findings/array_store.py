"""Where findings wait until all are there: in memory, or in a file, so that memory does not grow with their number."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segassess.files import writing


class ArrayStore:
    """Keeps arrays (N,) in a nameless file in `folder`, or in memory where that is None.

    The file is gone when nobody needs it any more, also when the process is killed. Raises RequestError if the folder cannot be
    written to, OutputError if the disk is full.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        if folder is not None:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                # Not mapped into memory: a full disk would kill the process, and what was read would count as its memory.
                self._file = tempfile.TemporaryFile(dir=folder)

    def keep(self, values: NDArray[Any]) -> "Kept":
        """Keep an array of numbers, or of texts (objects) of which there are few different ones; raises as the store does."""
        if self._folder is None:
            return values
        texts = None
        if values.dtype == object:
            texts, values = np.unique(values, return_inverse=True)
        with writing(self._folder):
            start = self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(values).data)
            self._file.flush()
        return StoredArray(self._file, start, len(values), values.dtype, texts)


class StoredArray:
    """An array (N,) in a file; a slice of it, or all of it by `np.asarray`, is read when it is asked for."""

    def __init__(self, file: Any, start: int, length: int, dtype: np.dtype[Any], texts: NDArray[Any] | None) -> None:
        self._file, self._start, self._length = file, start, length
        self._dtype, self._texts = dtype, texts  # the values are indices of texts, if there are any

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> NDArray[Any]:
        start, stop, _ = part.indices(self._length)
        values = np.empty(max(0, stop - start), self._dtype)
        self._file.seek(self._start + start * self._dtype.itemsize)
        self._file.readinto(values.data)
        return values if self._texts is None else self._texts[values]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        values = self[:]
        return values if dtype is None else values.astype(dtype)


Kept: TypeAlias = NDArray[Any] | StoredArray


class GrowingArray:
    """An array (N,) that is kept chunk by chunk."""

    def __init__(self, store: ArrayStore, dtype: DTypeLike = np.int64) -> None:
        self._store, self._dtype = store, np.dtype(dtype)
        self._chunks: list[Kept] = []
        self._starts = [0]

    def append(self, values: NDArray[Any]) -> None:
        """Append a chunk."""
        if len(values):
            self._chunks.append(self._store.keep(values.astype(self._dtype, copy=False)))
            self._starts.append(len(self) + len(values))

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The chunks."""
        return map(np.asarray, self._chunks)

    def whole(self) -> NDArray[Any]:
        """All chunks as one array."""
        return np.concatenate([np.zeros(0, self._dtype), *self])

    def ranges(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Some ranges, each within a chunk, one after another."""
        chunks = np.searchsorted(self._starts, starts, side="right") - 1
        first = starts - np.array(self._starts)[chunks]
        places = zip(chunks.tolist(), first.tolist(), (first + lengths).tolist(), strict=True)
        return np.concatenate([np.zeros(0, self._dtype), *(self._chunks[chunk][start:stop] for chunk, start, stop in places)])
