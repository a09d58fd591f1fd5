"""Connected components (8-connected) of a raster that comes by chunks of rows, with what is counted over each."""

import zlib
from dataclasses import dataclass, field

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage, sparse

_CONNECTED = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Shape:
    """Where the components of a raster are, after all chunks; N of them, numbered from 0 by their first pixel.

    Attributes:
        area: pixels, (N,).
        left: first column, (N,).
        top: first row, (N,).
        right: last column + 1, (N,).
        bottom: last row + 1, (N,).
        x: column of the centroid, (N,); 0 is the left edge of the raster, so pixel 0 has its centre at 0.5.
        y: row of the centroid, (N,), likewise.
    """

    area: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    right: NDArray[np.int64]
    bottom: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass
class Components:
    """Labels chunk after chunk; what belongs together across chunks is found out at the end.

    While chunks come, a component has a provisional number per chunk that it lies in; numbers go on from chunk to chunk, and
    whatever is counted is counted by them. `finish` gathers the numbers of each component.

    Args:
        outlines: keep the outlines of the components as well.
        min_area: leave out smaller components where one chunk shows the whole of them, so that specks cost no memory; those
            that lie in several chunks stay.
    """

    outlines: bool = False
    min_area: float = 0
    count: int = 0
    _top: int = 0
    _last_row: NDArray[np.int64] | None = None
    _links: list[NDArray[np.int64]] = field(default_factory=list)
    _moments: list[NDArray[np.float64]] = field(default_factory=list)
    _boxes: list[NDArray[np.int64]] = field(default_factory=list)
    _pieces: list[tuple[NDArray[np.int64], list[bytes]]] = field(default_factory=list)
    _number: NDArray[np.int64] | None = None

    def add(self, pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Label the next rows.

        Args:
            pixels: bool (h, W).

        Returns:
            Provisional numbers (h, W) from 1; 0 outside components, and in those that are left out.
        """
        local, found = self._without_specks(*ndimage.label(pixels, _CONNECTED))
        labels = np.where(local > 0, local + np.int64(self.count), 0)
        if self._last_row is not None:
            self._link(self._last_row, labels[0])
        self._last_row = labels[-1].copy()
        self._measure(local, found)
        if self.outlines and found:
            self._pieces.append(_pieces(local, self.count, self._top))
        self.count += found
        self._top += len(pixels)
        return labels

    def _without_specks(self, local: NDArray[np.int32], found: int) -> tuple[NDArray[np.int32], int]:
        if self.min_area <= 1 or not found:
            return local, found
        kept = np.bincount(local.reshape(-1), minlength=found + 1) >= self.min_area
        kept[local[-1]] = True
        if self._last_row is not None:
            kept[local[0]] = True
        kept[0] = False
        numbers = np.where(kept, np.cumsum(kept), 0).astype(local.dtype)
        return numbers[local], int(kept.sum())

    def _link(self, above: NDArray[np.int64], below: NDArray[np.int64]) -> None:
        width = len(above)
        for shift in (-1, 0, 1):
            upper = above[max(0, shift) : width + min(0, shift)]
            lower = below[max(0, -shift) : width + min(0, -shift)]
            touching = (upper > 0) & (lower > 0)
            if touching.any():
                self._links.append(np.unique(np.stack([upper[touching], lower[touching]]), axis=1))

    def _measure(self, local: NDArray[np.int32], found: int) -> None:
        rows, columns = np.nonzero(local)
        numbers = local[rows, columns]
        weights = None, columns + 0.5, rows + 0.5 + self._top
        self._moments.append(np.stack([np.bincount(numbers, each, minlength=found + 1)[1:] for each in weights]).astype(float))
        boxes = ndimage.find_objects(local)
        edges = [(box[1].start, box[0].start + self._top, box[1].stop, box[0].stop + self._top) for box in boxes]
        self._boxes.append(np.array(edges, np.int64).reshape(-1, 4).T)

    def finish(self) -> Shape:
        """Gather the components; no rows can be added any more."""
        nodes = self.count + 1
        links = np.concatenate(self._links, axis=1) if self._links else np.zeros((2, 0), np.int64)
        graph = sparse.coo_matrix((np.ones(links.shape[1], bool), (links[0], links[1])), shape=(nodes, nodes))
        _, group = sparse.csgraph.connected_components(graph, directed=False)
        # Provisional numbers rise with the first pixel, so a component's smallest one is that of its first pixel.
        _, first, inverse = np.unique(group[1:], return_index=True, return_inverse=True)
        order = np.empty(len(first), np.int64)
        order[np.argsort(first)] = np.arange(len(first))
        self._number = order[inverse].reshape(-1)
        area, x, y = (self.total(moment) for moment in np.concatenate([np.zeros((3, 0)), *self._moments], axis=1))
        boxes = np.concatenate([np.zeros((4, 0), np.int64), *self._boxes], axis=1)
        size = len(area)
        low, high = np.full((2, size), np.iinfo(np.int64).max), np.zeros((2, size), np.int64)
        for edge in range(2):
            np.minimum.at(low[edge], self._number, boxes[edge])
            np.maximum.at(high[edge], self._number, boxes[edge + 2])
        return Shape(area.astype(np.int64), low[0], low[1], high[0], high[1], x / area, y / area)

    @property
    def number(self) -> NDArray[np.int64]:
        """Number of the component by provisional number - 1, after `finish`."""
        assert self._number is not None, "call finish first"
        return self._number

    def total(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum by component of what was summed by provisional number, (count,) -> (N,)."""
        size = int(self.number.max(initial=-1)) + 1
        return np.bincount(self.number, values, minlength=size).astype(np.float64)

    def largest(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Maximum by component of what was maximised by provisional number, (count,) -> (N,); at least 0."""
        result = np.zeros(int(self.number.max(initial=-1)) + 1)
        np.maximum.at(result, self.number, values)
        return result

    def packed_outlines(self) -> list[bytes]:
        """N polygons, or multipolygons where pixels touch at a corner, in pixel coordinates along pixels' edges; see `unpack`."""
        size = int(self.number.max(initial=-1)) + 1
        if not size:
            return []
        owners = self.number[np.concatenate([numbers for numbers, _ in self._pieces]) - 1]
        pieces = [piece for _, packed in self._pieces for piece in packed]
        order = np.argsort(owners, kind="stable")
        starts = np.searchsorted(owners[order], np.arange(size + 1))
        result = []
        for index in range(size):
            parts = [pieces[each] for each in order[starts[index] : starts[index + 1]]]
            result.append(parts[0] if len(parts) == 1 else pack(shapely.union_all([unpack(part) for part in parts])))
        return result


def pack(outline: shapely.Geometry) -> bytes:
    """An outline as few bytes: corners of pixels compress to about a fifth, and a city has a million outlines."""
    return zlib.compress(shapely.to_wkb(outline), 1)


def unpack(packed: bytes) -> shapely.Geometry:
    """The outline that was packed."""
    return shapely.from_wkb(zlib.decompress(packed))


def _pieces(local: NDArray[np.int32], offset: int, top: int) -> tuple[NDArray[np.int64], list[bytes]]:
    """Provisional numbers and 4-connected polygons: 8-connected ones could touch themselves, which makes them invalid."""
    numbers: list[int] = []
    polygons: list[bytes] = []
    found = rasterio.features.shapes(local.astype(np.int32), local > 0, connectivity=4, transform=Affine.translation(0, top))
    for geometry, number in found:
        numbers.append(int(number) + offset)
        shell, *holes = geometry["coordinates"]
        polygons.append(pack(shapely.Polygon(shell, holes)))
    return np.array(numbers, np.int64), polygons


def sums(labels: NDArray[np.int64], first: int, count: int, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sum of values (h, W) by provisional number, of those from `first` + 1 to `count`; (count - first,)."""
    chosen = labels > first
    return np.bincount(labels[chosen] - first, values[chosen].astype(np.float64), minlength=count - first + 1)[1:].astype(
        np.float64
    )


class MeasuredComponents:
    """Components with the sum and the largest of a value over each; see `Components`."""

    def __init__(self, min_area: float = 0) -> None:
        self.components = Components(outlines=True, min_area=min_area)
        self.sums: list[NDArray[np.float64]] = []
        self.maxima: list[NDArray[np.float64]] = []

    def add(self, pixels: NDArray[np.bool_], values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Label the next rows, see `Components.add`; values are (h, W)."""
        first = self.components.count
        labels = self.components.add(pixels)
        count = self.components.count
        self.sums.append(sums(labels, first, count, values))
        largest = np.zeros(count - first)
        inside = labels > 0
        np.maximum.at(largest, labels[inside] - first - 1, values[inside].astype(float))
        self.maxima.append(largest)
        return labels

    def finish(self) -> tuple[Shape, NDArray[np.float64], NDArray[np.float64]]:
        """Where the components are, and the sum and the largest value (at least 0) of each."""
        shape = self.components.finish()
        return shape, self.components.total(joined(self.sums)), self.components.largest(joined(self.maxima))


def joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One array of many, also of none."""
    return np.concatenate(parts) if parts else np.zeros(0)
