"""Outlines of components along pixel edges, traced while rows arrive, for many components at once and as arrays.

A region of pixels is known by the corners of its outline: in the order of rows and columns, corners 2 i and 2 i + 1 are the ends
of a horizontal edge, and in the order of columns and rows those of a vertical one (O'Rourke, Uniqueness of orthogonal
connect-the-dots, 1988). At a saddle, where two pixels touch at a corner only, two corners meet.
"""

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from segassess.findings.array_store import ArrayStore, GrowingArray

# Pixels around a corner of the grid: upper left 1, upper right 2, lower left 4, lower right 8. Where only opposite ones are set:
_FALLING, _RISING = 1 + 8, 2 + 4


@dataclass(frozen=True, eq=False)
class PackedOutlines:
    """N outlines of rectilinear polygons and multipolygons, 8 bytes for two corners.

    A ring of n horizontal edges has the corners (x0, y0), (x1, y0), (x1, y1), (x2, y1) and so on up to (x0, y of the last edge).
    """

    edges: NDArray[np.int32]  # (E, 2): x at the start of each horizontal edge, and its y, in pixel coordinates
    rings: NDArray[np.int64]  # (R + 1,): where each ring starts in the edges
    parts: NDArray[np.int64]  # (P + 1,): where each polygon starts in the rings, the shell before its holes
    starts: NDArray[np.int64]  # (N + 1,): where each outline starts in the polygons

    def __len__(self) -> int:
        return len(self.starts) - 1

    def flat(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All numbers in a row, and how many of them are of each outline, (N,).

        Those of an outline are how many polygons it has, rings each of these, and edges each ring, and its edges.
        """
        first_ring = self.parts[self.starts]
        first_edge = self.rings[first_ring]
        polygons = np.diff(self.starts)
        counts = polygons, np.diff(first_ring), 2 * np.diff(first_edge)
        lengths = 1 + np.sum(counts, axis=0)
        place = np.cumsum(lengths) - lengths
        numbers = np.empty(int(lengths.sum()), np.int32)
        numbers[place] = polygons
        place = place + 1
        for count, values in zip(counts, (np.diff(self.parts), np.diff(self.rings), self.edges.reshape(-1)), strict=True):
            numbers[_ranges(place, count)] = values
            place = place + count
        return numbers, lengths

    @classmethod
    def of_flat(cls, numbers: NDArray[np.int32], lengths: NDArray[np.int64]) -> Self:
        """The inverse of `flat`."""
        place = np.cumsum(lengths) - lengths
        polygons = numbers[place].astype(np.int64)
        starts = _offsets(polygons)
        place = place + 1
        parts = _offsets(numbers[_ranges(place, polygons)])
        place, rings_of = place + polygons, np.diff(parts[starts])
        rings = _offsets(numbers[_ranges(place, rings_of)])
        edges = numbers[_ranges(place + rings_of, lengths - 1 - polygons - rings_of)]
        return cls(edges.reshape(-1, 2), rings, parts, starts)

    def shapes(self) -> NDArray[Any]:
        """Shapely polygons, and multipolygons where there are several parts, (N,)."""
        length = np.diff(self.rings)
        which, place = _ragged(2 * length + 1)
        first, n = self.rings[:-1][which], length[which]
        corners = np.empty((len(which), 2))
        corners[:, 0] = self.edges[first + (place + 1) // 2 % n, 0]
        corners[:, 1] = self.edges[first + place // 2 % n, 1]
        rings = np.concatenate([[0], np.cumsum(2 * length + 1)])
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, corners, (rings, self.parts))
        count = np.diff(self.starts)
        result = np.empty(len(self), object)
        result[count == 1] = polygons[self.starts[:-1][count == 1]]
        several = np.flatnonzero(count > 1)
        if len(several):
            parts = _ranges(self.starts[several], count[several])
            result[several] = shapely.multipolygons(polygons[parts], indices=_ragged(count[several])[0])
        return result


class OutlineStore:
    """Outlines in the order in which they were traced, kept flat."""

    def __init__(self, arrays: ArrayStore) -> None:
        self.arrays = arrays
        self._numbers = GrowingArray(arrays, np.int32)
        self._starts, self._lengths = GrowingArray(arrays), GrowingArray(arrays)

    def add(self, outlines: PackedOutlines) -> NDArray[np.int64]:
        """Keep some more; returns their places, (N,)."""
        numbers, lengths = outlines.flat()
        first = len(self._lengths)
        self._starts.append(len(self._numbers) + np.cumsum(lengths) - lengths)
        self._lengths.append(lengths)
        self._numbers.append(numbers)
        return np.arange(first, len(self._lengths))

    def chosen(self, places: NDArray[np.int64]) -> "KeptOutlines":
        """Outlines by their places, (N,)."""
        return KeptOutlines(self._numbers, self._starts.whole()[places], self._lengths.whole()[places])


@dataclass(frozen=True, eq=False)
class KeptOutlines:
    """N outlines in an `OutlineStore`, which are read when they are asked for."""

    numbers: GrowingArray
    starts: NDArray[np.int64]  # (N,): where each outline starts in the numbers
    lengths: NDArray[np.int64]  # (N,): of how many numbers it consists, about as many as it has corners

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, chosen: Any) -> "KeptOutlines":
        """Outlines by a slice, or by an array of indices or booleans."""
        return KeptOutlines(self.numbers, self.starts[chosen], self.lengths[chosen])

    def shapes(self) -> NDArray[Any]:
        """See `PackedOutlines.shapes`."""
        return PackedOutlines.of_flat(self.numbers.ranges(self.starts, self.lengths), self.lengths).shapes()


class OutlineTracer:
    """Traces the components (8-connected) of rows that arrive from top to bottom; keeps edges of those only that go on below.

    Its polygons are 4-connected parts, because others could touch themselves and be invalid.
    """

    def __init__(self, store: OutlineStore) -> None:
        self._store = store
        self._top = self._count = 0
        self._above: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._edges = np.zeros((6, 0), np.int64)
        self._links = np.zeros((2, 0), np.int64)
        # Of each outline, its place in the store and the number of its component in some rows.
        self._places, self._owners = GrowingArray(store.arrays), GrowingArray(store.arrays)

    def add(self, labels: NDArray[np.int64]) -> None:
        """Take the next rows: numbers of components (h, W), 0 outside; one that goes on may have another number here."""
        count, found = cv2.connectedComponents((labels > 0).view(np.uint8), connectivity=4)
        parts: NDArray[np.int32] = np.asarray(found, np.int32)
        self._take(labels, parts)
        last = np.where(parts[-1] > 0, parts[-1] + np.int64(self._count), 0)
        self._above = labels[-1].copy(), last
        self._count += count - 1
        self._top += len(labels)
        self._trace(last)

    def finish(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of all outlines, and for each the number of the component in some of its rows; no rows can follow."""
        if self._above is not None:
            below = np.zeros((1, len(self._above[0])), np.int64)
            self._take(below, below)
            self._trace(np.zeros(0, np.int64))
            self._above = None
        return self._places.whole(), self._owners.whole()

    def _take(self, labels: NDArray[np.int64], parts: NDArray[np.integer]) -> None:
        """Take the edges above each of the next rows, with components and parts (h, W), the latter numbered from 1."""
        above = np.zeros((2, labels.shape[1]), np.int64) if self._above is None else self._above
        pixels = np.zeros((1 + labels.shape[0], 2 + labels.shape[1]), bool)
        pixels[0, 1:-1], pixels[1:, 1:-1] = above[0] > 0, labels > 0
        upper_left, upper_right, lower_left, lower_right = pixels[:-1, :-1], pixels[:-1, 1:], pixels[1:, :-1], pixels[1:, 1:]
        corner = ((upper_left != upper_right) | (lower_left != lower_right)) & (
            (upper_left != lower_left) | (upper_right != lower_right)
        )
        y, x = np.nonzero(corner)
        code = sum(
            each[y, x].astype(np.int8) << bit for bit, each in enumerate((upper_left, upper_right, lower_left, lower_right))
        )
        code = np.asarray(code)
        times = np.where((code == _FALLING) | (code == _RISING), 2, 1)
        y, x, code = (np.repeat(each, times) for each in (y, x, code))
        # Left ends of edges; a saddle is the right end of one and the left end of another.
        y, left, right, code_left, code_right = y[::2], x[::2], x[1::2], code[::2], code[1::2]
        below = (code_left & 8) > 0
        # A pixel beside the edge, in one of these rows or above them.
        row, here = np.maximum(y + below - 1, 0), y + below > 0
        owner = np.where(here, labels[row, left], above[0][left])
        part = np.where(here, parts[row, left] + np.int64(self._count), above[1][left])
        flags = below + 2 * _saddle(code_left) + 8 * _saddle(code_right)
        fresh = np.stack([y + self._top, left, right, flags, part, owner])
        self._edges = np.concatenate([self._edges, fresh], axis=1)
        touching = (above[1] > 0) & (parts[0] > 0)
        links = np.unique(np.stack([above[1][touching], parts[0][touching] + np.int64(self._count)]), axis=1)
        self._links = np.concatenate([self._links, links], axis=1)

    def _trace(self, last_row: NDArray[np.int64]) -> None:
        """Trace the components that have no pixel in the last row, whose parts (W,) are given."""
        edges, links = self._edges, self._links
        numbers = np.unique(np.concatenate([edges[4], links.reshape(-1), last_row]))
        part, ends = np.searchsorted(numbers, edges[4]), np.searchsorted(numbers, links)
        polygon = _groups(ends, len(numbers))
        # Both parts that touch at a saddle belong to one component.
        touching = np.flatnonzero(edges[3] >= 8)
        component = _groups(np.concatenate([ends, np.stack([part[touching], part[touching + 1]])], axis=1), len(numbers))
        going_on = np.zeros(len(numbers), bool)
        going_on[component[np.searchsorted(numbers, last_row[last_row > 0])]] = True
        stays = going_on[component[part]]
        if not stays.all():
            traced, first = _traced(edges[:, ~stays], polygon[part[~stays]], component[part[~stays]])
            self._places.append(self._store.add(traced))
            self._owners.append(edges[5, ~stays][first])
        self._edges = edges[:, stays]
        self._links = links[:, going_on[component[ends[0]]]]


def _saddle(code: NDArray[np.integer]) -> NDArray[np.int64]:
    """0 for a simple corner, 1 for a falling saddle, 2 for a rising one."""
    return np.where(code == _FALLING, 1, np.where(code == _RISING, 2, 0))


def _groups(links: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Number of the connected component of each of `count` nodes with links (2, K)."""
    graph = sparse.coo_matrix((np.ones(links.shape[1], bool), (links[0], links[1])), shape=(count, count))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1], np.int64)


def _traced(
    edges: NDArray[np.int64], polygon: NDArray[np.int64], component: NDArray[np.int64]
) -> tuple[PackedOutlines, NDArray[np.int64]]:
    """Outlines of whole components by their edges (6, E), and the first edge of each, in the order of these."""
    y, left, right, flags = edges[:4]
    count, below = edges.shape[1], (flags & 1) > 0
    # The two pixels at a saddle are joined there if they are of one polygon, and apart if not.
    joined = np.append(polygon[1:] == polygon[:-1], False)
    saddle_left, saddle_right = flags >> 1 & 3, flags >> 3
    upper_is_right = np.stack(
        [(saddle_left == 2) ^ np.roll(joined, 1), (saddle_right == 2) ^ joined], axis=1
    )  # of the corners at a saddle: whether the one with the edge to the right has that upwards
    second = np.stack([(saddle_left > 0) & ~upper_is_right[:, 0], (saddle_right > 0) & upper_is_right[:, 1]], axis=1)
    x = np.stack([left, right], axis=1)
    key = (x << 32 | y[:, None] << 1 | second).reshape(-1)
    order = np.argsort(key, kind="stable")
    across = np.empty(2 * count, np.int64)
    across[order[::2]], across[order[1::2]] = order[1::2], order[::2]
    # Inside is to the right of one who walks: below the edge if that leads to the right.
    following = across[2 * np.arange(count) + below] // 2
    ring = _groups(np.stack([np.arange(count), following]), count)
    length = np.bincount(ring)
    first = np.empty(len(length), np.int64)
    first[ring[::-1]] = np.arange(count)[::-1]
    # The first edge of a component is that of its first part, and the uppermost edge of a shell lies above it.
    first_edge = np.empty(int(component.max()) + 1, np.int64)
    first_edge[component[::-1]] = np.arange(count)[::-1]
    sequence = np.lexsort((first, ~below[first], polygon[first], first_edge[component[first]]))
    first, length = first[sequence], length[sequence]
    # All rings as one path, which is walked at once.
    before = np.empty(count, np.int64)
    before[following] = np.arange(count)
    path = following.copy()
    path[before[first[:-1]]] = first[1:]
    path_start, path_end = first[0], before[first[-1]]
    steps = np.delete(np.arange(count), path_end)
    graph = sparse.csr_matrix((np.ones(count - 1, bool), (steps, path[steps])), shape=(count, count))
    walk = csgraph.depth_first_order(graph, path_start, return_predecessors=False)
    start = np.where(below, left, right)
    packed = np.stack([start, y], axis=1)[walk].astype(np.int32)
    parts = np.append(np.flatnonzero(below[first]), len(first))
    owner = first_edge[component[first[parts[:-1]]]]
    starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    return PackedOutlines(packed, np.append(0, np.cumsum(length)), parts, np.append(starts, len(owner))), owner[starts]


def _offsets(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where lists of these lengths start, one after another, and where the last one ends."""
    return np.append(0, np.cumsum(lengths, dtype=np.int64))


def _ragged(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the elements of lists of these lengths: the list, and the place in it."""
    which = np.repeat(np.arange(len(lengths)), lengths)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _ranges(firsts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the elements of lists of these lengths by their first ones."""
    which, place = _ragged(lengths)
    return firsts[which] + place
