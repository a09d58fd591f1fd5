"""Connected components (8-connected) of a raster that arrives in chunks of rows, with sums over each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from segassess.findings.array_store import GrowingArray, Kept
from segassess.findings.outlines import OutlineStore, OutlineTracer

_CONNECTED = np.ones((3, 3), bool)
# Edges of a box.
_LOWEST, _HIGHEST = ("left", "top"), ("right", "bottom")


class Components:
    """Labels chunk after chunk; `finish` joins the pieces of a component.

    Until then, a component has a provisional number in each chunk that it touches; numbers go on from chunk to chunk. A component
    of fewer than `min_area` pixels that lies within one chunk is dropped at once, so that specks cost no memory. `amounts` names
    what is summed over each component besides P(error).
    """

    def __init__(self, outlines: OutlineStore, min_area: float = 0, amounts: Sequence[str] = ()) -> None:
        self.min_area = min_area
        self.count = 0
        self._arrays = outlines.arrays
        self._amounts = amounts
        self._top = 0
        self._last_row: NDArray[np.int64] | None = None
        self._above, self._below = GrowingArray(self._arrays), GrowingArray(self._arrays)  # links
        # By provisional number: pixels, sums of column, row, P(error) and amounts; edges of the box; largest P(error).
        self._sums = {name: GrowingArray(self._arrays, np.float64) for name in ("area_px", "x", "y", "error", *amounts)}
        self._boxes = {name: GrowingArray(self._arrays) for name in _LOWEST + _HIGHEST}
        self._largest = GrowingArray(self._arrays, np.float64)
        self._tracer = OutlineTracer(outlines)
        self._number: NDArray[np.int64] | None = None

    def add(self, pixels: NDArray[np.bool_], error: NDArray[np.floating], *amounts: NDArray[Any]) -> NDArray[np.int64]:
        """Label the next rows: `pixels` bool, `error` without NaN, `amounts` in the order of their names, all (h, W).

        Returns provisional numbers (h, W) from 1; 0 outside components and in dropped ones.
        """
        local, found = ndimage.label(pixels, _CONNECTED)
        pixel = np.flatnonzero(pixels)
        numbers = local.reshape(-1)[pixel]
        if self.min_area > 1:
            kept = self._without_specks(local, numbers, found)
            local.reshape(-1)[pixel] = numbers = kept[numbers]
            found, pixel, numbers = int(kept.max(initial=0)), pixel[numbers > 0], numbers[numbers > 0]
        numbers = numbers - 1
        labels = np.where(local > 0, local + np.int64(self.count), 0)
        if self._last_row is not None:
            self._link(self._last_row, labels[0])
        self._last_row = labels[-1].copy()
        rows, columns = np.divmod(pixel, local.shape[1])
        values = [each.reshape(-1)[pixel] for each in (error, *amounts)]
        weights = (None, columns + 0.5, rows + 0.5 + self._top, *values)
        for sums, each in zip(self._sums.values(), weights, strict=True):
            sums.append(np.bincount(numbers, each, minlength=found))
        left, right = np.full(found, local.shape[1], np.int64), np.zeros(found, np.int64)
        np.minimum.at(left, numbers, columns)
        np.maximum.at(right, numbers, columns)
        top, bottom = np.zeros((2, found), np.int64)
        # Pixels come row by row: the last assignment stays.
        top[numbers[::-1]], bottom[numbers] = rows[::-1], rows
        for edges, each in zip(self._boxes.values(), (left, top + self._top, right + 1, bottom + self._top + 1), strict=True):
            edges.append(each)
        largest = np.zeros(found)
        np.maximum.at(largest, numbers, values[0].astype(float))
        self._largest.append(largest)
        self._tracer.add(labels)
        self.count += found
        self._top += len(pixels)
        return labels

    def _without_specks(self, local: NDArray[np.int32], numbers: NDArray[np.int32], found: int) -> NDArray[np.int32]:
        """New numbers by those from 0 to `found` that the pixels have, 0 for specks."""
        kept = np.bincount(numbers, minlength=found + 1) >= self.min_area
        kept[local[-1]] = True
        if self._last_row is not None:
            kept[local[0]] = True
        kept[0] = False
        return np.where(kept, np.cumsum(kept), 0).astype(np.int32)

    def _link(self, above: NDArray[np.int64], below: NDArray[np.int64]) -> None:
        width = len(above)
        for shift in (-1, 0, 1):
            upper = above[max(0, shift) : width + min(0, shift)]
            lower = below[max(0, -shift) : width + min(0, -shift)]
            touching = (upper > 0) & (lower > 0)
            if touching.any():
                links = np.unique(np.stack([upper[touching], lower[touching]]), axis=1)
                self._above.append(links[0])
                self._below.append(links[1])

    def finish(self) -> dict[str, Kept]:
        """Gather the N components, numbered from 0 by their first pixel; no rows can follow.

        Returns (N,) by name: `area_px`; `left`, `top`, `right`, `bottom` of the box, the last two exclusive; `x`, `y` of the
        centroid, 0 at the left and upper edge of the raster; the sum `error` and the maximum `max_error` of P(error); and the
        sums of the amounts.
        """
        self._number = self._numbered()
        area = self._gathered(np.add, self._sums["area_px"], 0.0)
        found = {"area_px": self._arrays.keep(area.astype(np.int64))}
        for name, sums in self._sums.items():
            if name != "area_px":
                total = self._gathered(np.add, sums, 0.0)
                found[name] = self._arrays.keep(total / area if name in ("x", "y") else total)
        for name, edges in self._boxes.items():
            larger, start = (np.minimum, np.iinfo(np.int64).max) if name in _LOWEST else (np.maximum, 0)
            found[name] = self._arrays.keep(self._gathered(larger, edges, start))
        return found | {"max_error": self._arrays.keep(self._gathered(np.maximum, self._largest, 0.0))}

    def _numbered(self) -> NDArray[np.int64]:
        """Number of the component by provisional number - 1."""
        # Only few have a link; of these, the smallest one is that of the component's first pixel.
        nodes, ends = np.unique(np.concatenate([self._above.whole(), self._below.whole()]), return_inverse=True)
        links = np.ones(len(ends) // 2, bool), tuple(ends.reshape(2, -1))
        _, group = sparse.csgraph.connected_components(sparse.coo_matrix(links, shape=(len(nodes),) * 2), directed=False)
        _, first = np.unique(group, return_index=True)
        parent = np.arange(self.count)
        parent[nodes - 1] = nodes[first][group] - 1
        return (np.cumsum(parent == np.arange(self.count)) - 1)[parent]

    def _gathered(self, joins: np.ufunc, values: GrowingArray, start: float) -> NDArray[Any]:
        """Sum, smallest or largest value of each component, (N,), of values by provisional number, (count,)."""
        result = np.full(int(self.number.max(initial=-1)) + 1, start)
        done = 0
        for chunk in values:
            joins.at(result, self.number[done : done + len(chunk)], chunk)
            done += len(chunk)
        return result

    @property
    def number(self) -> NDArray[np.int64]:
        """Number of the component by provisional number - 1, after `finish`."""
        assert self._number is not None, "call finish first"
        return self._number

    def outlines(self, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
        """Places in the store of outlines of the `chosen` components (K,), which follow the edges of pixels.

        They are multipolygons where pixels touch at a corner.
        """
        outlines, owners = self._tracer.finish()
        place = np.empty(len(outlines), np.int64)
        place[self.number[owners - 1]] = outlines
        return place[chosen]


def summed_by_pair(
    one: NDArray[np.int64], other: NDArray[np.int64], amounts: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The pairs of two numbers from 0, of pixels (K,) row by row, and the sum of the amounts of each."""
    if not len(one):
        return one, other, amounts
    # Neighbours are mostly alike, so there are far fewer runs to sort than pixels.
    runs = np.flatnonzero(np.append(True, (one[1:] != one[:-1]) | (other[1:] != other[:-1])))
    several = int(other.max()) + 1
    pairs, which = np.unique(one[runs] * several + other[runs], return_inverse=True)
    sums = np.bincount(which.reshape(-1), np.add.reduceat(amounts, runs)).astype(np.float64)
    return pairs // several, pairs % several, sums
