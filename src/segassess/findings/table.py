"""Findings as columns: one row each, with outlines that stay packed, and in a file if there are many, until they are written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from segassess.findings.array_store import ArrayStore, Kept
from segassess.findings.outlines import KeptOutlines
from segassess.raster import Georeference
from segassess.raster.grid import apply_to_all

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


# Findings that are read at once, and numbers of their outlines: those of a city do not fit into memory.
_FINDINGS, _NUMBERS = 20_000, 2**20


@dataclass(frozen=True, eq=False)
class FindingsTable:
    """N findings of one kind, worst first; in memory, or in a file from which parts are read."""

    columns: Mapping[str, Kept]  # (N,) int64, float64 or texts (objects), by name
    shapes: NDArray[Any] | KeptOutlines  # (N,) in pixel coordinates: shapely geometries, or kept ones

    def __len__(self) -> int:
        return len(self.shapes)

    def column(self, name: str) -> NDArray[Any]:
        """All values of a column, (N,)."""
        return np.asarray(self.columns[name])

    def outlines(self, part: slice = slice(None)) -> NDArray[Any]:
        """Shapely polygons and multipolygons in pixel coordinates; by parts, because a city has very many."""
        return self.shapes[part].shapes() if isinstance(self.shapes, KeptOutlines) else self.shapes[part]

    def parts(self) -> Iterator[slice]:
        """Parts, from the first finding to the last, that are small enough to be in memory with their outlines."""
        kept = self.shapes
        sizes = kept.lengths if isinstance(kept, KeptOutlines) else 2 * shapely.get_num_coordinates(kept)
        total, first = np.append(0, np.cumsum(sizes)), 0
        while first < len(self):
            stop = int(np.searchsorted(total, total[first] + _NUMBERS, side="right")) - 1
            stop = min(max(stop, first + 1), first + _FINDINGS)
            yield slice(first, stop)
            first = stop

    def rows(self) -> Iterator[dict[str, Any]]:
        """One finding after another, as Python numbers and texts by column."""
        for first in range(0, len(self), _FINDINGS):
            values = (column[first : first + _FINDINGS].tolist() for column in self.columns.values())
            yield from (dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True))

    def frame(self, georeference: Georeference | None) -> "GeoDataFrame":
        """As a GeoDataFrame in the CRS of the image; in pixel coordinates if it has no georeference."""
        import geopandas

        columns = {name: self.column(name) for name in self.columns}
        return geopandas.GeoDataFrame(columns, geometry=placed(self.outlines(), georeference), crs=crs_text(georeference))


def ranked(
    rank: str, parts: Sequence[Mapping[str, Kept]], *keys: str, arrays: ArrayStore
) -> tuple[dict[str, Kept], NDArray[np.intp]]:
    """Join findings of several parts, columns by name, and sort them by `keys`: the first one descending, the others ascending.

    The place of a finding, from 1, becomes the first column, called `rank`; "" leaves it out. Returns the columns, kept in
    `arrays`, and the order (N,).
    """

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([np.asarray(part[name]) for part in parts])

    first, *others = map(joined, keys)
    order = np.lexsort((*others[::-1], -first))
    columns = {rank: arrays.keep(np.arange(1, len(order) + 1))} if rank else {}
    return columns | {name: arrays.keep(joined(name)[order]) for name in parts[0]}, order


def placed(outlines: NDArray[Any], georeference: Georeference | None) -> NDArray[Any]:
    """Outlines brought from pixel coordinates to the CRS of the image; unchanged if it has none."""
    transform = Affine.identity() if georeference is None else georeference.transform
    return np.asarray(shapely.transform(outlines, lambda points: apply_to_all(transform, points)))


def crs_text(georeference: Georeference | None) -> str | None:
    """The CRS as WKT; None if there is none."""
    return None if georeference is None or georeference.crs is None else str(georeference.crs.to_wkt())
