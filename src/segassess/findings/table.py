"""Findings as columns: one row each, with outlines that stay packed until they are written or shown."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from segassess.raster import Georeference
from segassess.raster.grid import apply_to_all

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True, eq=False)
class FindingsTable:
    """N findings of one kind, worst first.

    Attributes:
        columns: (N,) values by name: int64, float64 or texts (objects).
        shapes: (N,) outlines in pixel coordinates, shapely geometries or packed ones, see `pack`.
    """

    columns: Mapping[str, NDArray[Any]]
    shapes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.shapes)

    def outlines(self, part: slice = slice(None)) -> NDArray[Any]:
        """Shapely polygons and multipolygons in pixel coordinates; of a part, because those of a city are many."""
        return np.array([unpack(each) if isinstance(each, bytes) else each for each in self.shapes[part]], object)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Values by column, one finding after another, as Python's numbers and texts."""
        values = (column.tolist() for column in self.columns.values())
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True))

    def frame(self, georeference: Georeference | None) -> "GeoDataFrame":
        """As a GeoDataFrame in the CRS of the image; in pixel coordinates if it has no georeference."""
        import geopandas

        return geopandas.GeoDataFrame(
            dict(self.columns), geometry=placed(self.outlines(), georeference), crs=crs_text(georeference)
        )


def ranked(rank: str, parts: Sequence[tuple[dict[str, NDArray[Any]], Sequence[Any]]], *keys: str) -> FindingsTable:
    """Tables with the same columns as one, sorted by columns, the first of `keys` counting most, its largest value first.

    Args:
        rank: name of a column that is put before the others: the place of a finding, from 1; "" for none.
        parts: columns and shapes.
        *keys: the first descending, the others ascending.
    """
    columns = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
    shapes = [shape for _, some in parts for shape in some]
    first, *others = (columns[key] for key in keys)
    order = np.lexsort((*others[::-1], -first))
    ranks = {rank: np.arange(1, len(order) + 1)} if rank else {}
    return FindingsTable(ranks | {name: values[order] for name, values in columns.items()}, np.array(shapes, object)[order])


def placed(outlines: NDArray[Any], georeference: Georeference | None) -> NDArray[Any]:
    """Outlines in pixel coordinates brought to the CRS of the image; as they are if it has none."""
    transform = Affine.identity() if georeference is None else georeference.transform
    return np.asarray(shapely.transform(outlines, lambda points: apply_to_all(transform, points)))


def crs_text(georeference: Georeference | None) -> str | None:
    """The CRS as WKT; None if there is none."""
    return None if georeference is None or georeference.crs is None else str(georeference.crs.to_wkt())


def pack(outline: shapely.Geometry) -> bytes:
    """An outline as few bytes: corners of pixels compress to about a fifth, and a city has a million outlines."""
    return zlib.compress(shapely.to_wkb(outline), 1)


def unpack(packed: bytes) -> shapely.Geometry:
    """The outline that was packed."""
    return shapely.from_wkb(zlib.decompress(packed))
