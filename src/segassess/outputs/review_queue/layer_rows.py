"""Rows of the layers that `predict.py` leaves, whose outlines are read when they are asked for: a city has very many."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from segassess.outputs.judged_folder import JudgedFolder

# Rows whose outlines are in memory at once.
_BLOCK = 2000


@dataclass(frozen=True, eq=False)
class LayerRows:
    """N findings of one layer, (N,) each."""

    path: Path
    of: str  # the column that names them
    fids: NDArray[np.int64]  # as GDAL gives them
    id: NDArray[np.int64]
    verdict: NDArray[Any]  # texts
    p_error: NDArray[np.float64]
    wrong_px: NDArray[np.float64]
    area_m2: NDArray[np.float64]
    other_outlines: Mapping[int, shapely.Geometry] = field(default_factory=dict)  # than those of the layer, by id

    def __len__(self) -> int:
        return len(self.fids)

    def __getitem__(self, chosen: Any) -> "LayerRows":
        """Rows by a slice, or by an array of indices or booleans."""
        columns = ("fids", "id", "verdict", "p_error", "wrong_px", "area_m2")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def blocks(self) -> Iterator["LayerRows"]:
        """The rows in parts whose outlines fit into memory."""
        return (self[first : first + _BLOCK] for first in range(0, len(self), _BLOCK))

    def outlines(self) -> NDArray[Any]:
        """Shapely geometries in the CRS of the layer, (N,)."""
        _, _, stored, _ = pyogrio.raw.read(self.path, layer=self.path.stem, columns=[], fids=self.fids)
        own = zip(self.id.tolist(), shapely.from_wkb(stored), strict=True)
        return np.array([self.other_outlines.get(number, outline) for number, outline in own], object)


def read_rows(judged: JudgedFolder, name: str, of: str, wrong: str, where: str, verdict: str = "verdict") -> LayerRows:
    """The rows of a layer that meet a condition in SQL.

    `of`, `wrong` and `verdict` are the columns of what a row is called by, of its wrong pixels, and of what was said of it.
    """
    path = judged.require(f"{name}.gpkg")
    names = [of, verdict, "mean_error", wrong, "area_m2"]
    about, fids, _, values = pyogrio.raw.read(path, layer=name, columns=names, read_geometry=False, return_fids=True, where=where)
    columns = dict(zip(about["fields"], values, strict=True))
    return LayerRows(path, of, fids, *(columns[each] for each in names))


def read_outlines(judged: JudgedFolder, name: str, of: str) -> dict[int, shapely.Geometry]:
    """All outlines of a layer by its column `of`."""
    _, _, stored, (numbers,) = pyogrio.raw.read(judged.require(f"{name}.gpkg"), layer=name, columns=[of])
    return dict(zip(numbers.tolist(), shapely.from_wkb(stored), strict=True))
