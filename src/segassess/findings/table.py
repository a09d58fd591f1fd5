"""Findings as columns: one row each, with outlines that stay packed until they are written or shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from segassess.findings.outlines import PackedOutlines
from segassess.raster import Georeference
from segassess.raster.grid import apply_to_all

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True, eq=False)
class FindingsTable:
    """N findings of one kind, worst first."""

    columns: Mapping[str, NDArray[Any]]  # (N,) int64, float64 or texts (objects), by name
    shapes: NDArray[Any] | PackedOutlines  # (N,) in pixel coordinates: shapely geometries, or packed ones

    def __len__(self) -> int:
        return len(self.shapes)

    def outlines(self, part: slice = slice(None)) -> NDArray[Any]:
        """Shapely polygons and multipolygons in pixel coordinates; by parts, because a city has very many."""
        return self.shapes[part].shapes() if isinstance(self.shapes, PackedOutlines) else self.shapes[part]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One finding after another, as Python numbers and texts by column."""
        values = (column.tolist() for column in self.columns.values())
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True))

    def frame(self, georeference: Georeference | None) -> "GeoDataFrame":
        """As a GeoDataFrame in the CRS of the image; in pixel coordinates if it has no georeference."""
        import geopandas

        return geopandas.GeoDataFrame(
            dict(self.columns), geometry=placed(self.outlines(), georeference), crs=crs_text(georeference)
        )


def joined(parts: Sequence[tuple[dict[str, NDArray[Any]], PackedOutlines]]) -> FindingsTable:
    """Tables of the same columns as one."""
    columns = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
    return FindingsTable(columns, PackedOutlines.joined([shapes for _, shapes in parts]))


def ranked(rank: str, table: FindingsTable, *keys: str) -> FindingsTable:
    """Sort a table by the columns `keys`, the first one descending, the others ascending.

    The place of a finding, from 1, becomes the first column, called `rank`; "" leaves it out.
    """
    first, *others = (table.columns[key] for key in keys)
    order = np.lexsort((*others[::-1], -first))
    ranks = {rank: np.arange(1, len(order) + 1)} if rank else {}
    return FindingsTable(ranks | {name: values[order] for name, values in table.columns.items()}, table.shapes[order])


def placed(outlines: NDArray[Any], georeference: Georeference | None) -> NDArray[Any]:
    """Outlines brought from pixel coordinates to the CRS of the image; unchanged if it has none."""
    transform = Affine.identity() if georeference is None else georeference.transform
    return np.asarray(shapely.transform(outlines, lambda points: apply_to_all(transform, points)))


def crs_text(georeference: Georeference | None) -> str | None:
    """The CRS as WKT; None if there is none."""
    return None if georeference is None or georeference.crs is None else str(georeference.crs.to_wkt())
