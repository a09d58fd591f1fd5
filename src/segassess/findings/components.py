"""Connected components (8-connected) of a raster that arrives in chunks of rows, with sums over each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from segassess.findings.outlines import OutlineTracer, PackedOutlines

_CONNECTED = np.ones((3, 3), bool)


class Components:
    """Labels chunk after chunk; `finish` joins the pieces of a component.

    Until then, a component has a provisional number in each chunk that it touches; numbers go on from chunk to chunk. A component
    of fewer than `min_area` pixels that lies within one chunk is dropped at once, so that specks cost no memory. `amounts` names
    what is summed over each component besides P(error).
    """

    def __init__(self, min_area: float = 0, amounts: Sequence[str] = ()) -> None:
        self.min_area = min_area
        self.count = 0
        self._amounts = amounts
        self._top = 0
        self._last_row: NDArray[np.int64] | None = None
        self._links = [np.zeros((2, 0), np.int64)]
        # By provisional number: pixels, sums of column, row, P(error) and amounts; edges of the box; largest P(error).
        self._sums = [np.zeros((4 + len(amounts), 0))]
        self._boxes = [np.zeros((4, 0), np.int64)]
        self._largest = [np.zeros(0)]
        self._tracer = OutlineTracer()
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
        self._sums.append(np.stack([np.bincount(numbers, each, minlength=found).astype(float) for each in weights]))
        left, right = np.full(found, local.shape[1], np.int64), np.zeros(found, np.int64)
        np.minimum.at(left, numbers, columns)
        np.maximum.at(right, numbers, columns)
        top, bottom = np.zeros((2, found), np.int64)
        # Pixels come row by row: the last assignment stays.
        top[numbers[::-1]], bottom[numbers] = rows[::-1], rows
        self._boxes.append(np.stack([left, top + self._top, right + 1, bottom + self._top + 1]))
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
                self._links.append(np.unique(np.stack([upper[touching], lower[touching]]), axis=1))

    def finish(self) -> dict[str, NDArray[Any]]:
        """Gather the N components, numbered from 0 by their first pixel; no rows can follow.

        Returns (N,) by name: `area_px`; `left`, `top`, `right`, `bottom` of the box, the last two exclusive; `x`, `y` of the
        centroid, 0 at the left and upper edge of the raster; the sum `error` and the maximum `max_error` of P(error); and the
        sums of the amounts.
        """
        nodes = self.count + 1
        links = np.concatenate(self._links, axis=1)
        graph = sparse.coo_matrix((np.ones(links.shape[1], bool), (links[0], links[1])), shape=(nodes, nodes))
        _, group = sparse.csgraph.connected_components(graph, directed=False)
        # Provisional numbers rise with the first pixel, so a component's smallest one is that of its first pixel.
        _, first, inverse = np.unique(group[1:], return_index=True, return_inverse=True)
        order = np.empty(len(first), np.int64)
        order[np.argsort(first)] = np.arange(len(first))
        self._number = order[inverse].reshape(-1)
        size = len(first)
        area, x, y, *sums = (
            np.bincount(self._number, each, minlength=size).astype(float) for each in np.concatenate(self._sums, axis=1)
        )
        left, top, right, bottom = np.concatenate(self._boxes, axis=1)
        return {
            "area_px": area.astype(np.int64),
            "left": self._extreme(np.minimum, left, np.iinfo(np.int64).max),
            "top": self._extreme(np.minimum, top, np.iinfo(np.int64).max),
            "right": self._extreme(np.maximum, right, 0),
            "bottom": self._extreme(np.maximum, bottom, 0),
            "x": x / area,
            "y": y / area,
            "max_error": self._extreme(np.maximum, np.concatenate(self._largest), 0.0),
            **dict(zip(("error", *self._amounts), sums, strict=True)),
        }

    def _extreme(self, larger: np.ufunc, values: NDArray[Any], start: float) -> NDArray[Any]:
        """Smallest or largest value of each component, (N,), of values by provisional number, (count,)."""
        result = np.full(int(self.number.max(initial=-1)) + 1, start, values.dtype)
        larger.at(result, self.number, values)
        return result

    @property
    def number(self) -> NDArray[np.int64]:
        """Number of the component by provisional number - 1, after `finish`."""
        assert self._number is not None, "call finish first"
        return self._number

    def packed_outlines(self, chosen: NDArray[np.intp]) -> PackedOutlines:
        """Outlines of the `chosen` components (K,) along pixel edges; multipolygons where pixels touch at a corner."""
        outlines, owners = self._tracer.finish()
        place = np.empty(len(outlines), np.int64)
        place[self.number[owners - 1]] = np.arange(len(outlines))
        return outlines[place[chosen]]


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
