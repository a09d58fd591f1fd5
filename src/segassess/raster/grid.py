"""Size, CRS and transform of a raster."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.warp
from affine import Affine
from numpy.typing import NDArray

from segassess.raster.library_errors import LIBRARY_ERRORS

_SAME_GRID = 0.5  # pixels; a mask shifted further is on another grid


@dataclass(frozen=True)
class Georeference:
    """CRS and transform of a raster."""

    crs: Any  # a `rasterio.crs.CRS`, or None for a transform without CRS (a world file)
    transform: Affine  # (column, row) to the CRS; (0, 0) is the outer corner of the first pixel

    @classmethod
    def of(cls, dataset: Any) -> "Georeference | None":
        """Read a rasterio dataset's georeference; None if it has none."""
        if dataset.transform.is_degenerate or (dataset.crs is None and dataset.transform.is_identity):
            return None
        return cls(dataset.crs, dataset.transform)

    @property
    def crs_name(self) -> str:
        """See `name_of`."""
        return name_of(self.crs)

    @property
    def grid_name(self) -> str:
        """Origin and pixel size."""
        t = self.transform
        return f"({t.c:.9g}, {t.f:.9g}) and ({t.a:.6g}, {t.e:.6g})"

    def degrees(self, points: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """WGS 84 longitude and latitude (N, 2) of points (N, 2) in the CRS; None if they cannot be transformed."""
        try:
            return transformed(points, self.crs, "EPSG:4326")
        except (*LIBRARY_ERRORS, ValueError):
            return None

    def pixel_ground_m(self, height: int, width: int) -> NDArray[np.float64] | None:
        """Metres to the east and the north of one column and of one row (2, 2), mid-raster; None without a usable CRS.

        They are measured on the WGS 84 ellipsoid, because EPSG:3857, for example, overstates lengths by 1 / cos(latitude).
        """
        if self.crs is None:
            return None
        column, row = width / 2, height / 2
        places = self.degrees(apply_to_all(self.transform, np.array([(column, row), (column + 1, row), (column, row + 1)])))
        if places is None or not np.isfinite(places).all():
            return None
        lon, lat = places.T.tolist()
        # Radii of curvature along the meridian and across it (Snyder 1987, eq. 4-18 to 4-21), in metres.
        semi_major, eccentricity2 = 6378137.0, 0.00669437999014
        sine, cosine = math.sin(math.radians(lat[0])), math.cos(math.radians(lat[0]))
        across = semi_major / math.sqrt(1 - eccentricity2 * sine**2)
        along = across * (1 - eccentricity2) / (1 - eccentricity2 * sine**2)
        east = [math.radians((value - lon[0] + 180) % 360 - 180) * across * cosine for value in lon[1:]]
        north = [math.radians(value - lat[0]) * along for value in lat[1:]]
        return np.array([east, north]).T


@dataclass(frozen=True)
class Grid:
    """Size and location of a raster."""

    height: int
    width: int
    georeference: Georeference | None = None  # None: pixel coordinates only

    @classmethod
    def of(cls, dataset: Any) -> "Grid":
        """Read the grid of a rasterio dataset."""
        return cls(dataset.height, dataset.width, Georeference.of(dataset))

    @property
    def pixel_ground_m(self) -> NDArray[np.float64] | None:
        """See `Georeference.pixel_ground_m`."""
        return None if self.georeference is None else self.georeference.pixel_ground_m(self.height, self.width)

    @property
    def pixel_area_m2(self) -> float | None:
        """Ground area of the central pixel in square metres; None without a usable CRS."""
        ground = self.pixel_ground_m
        if ground is None:
            return None
        (east, north), (east_down, north_down) = ground
        return float(abs(east * north_down - east_down * north))

    def difference(self, other: "Grid") -> str | None:
        """How another grid differs, as a clause; None if the pixels coincide. A grid without georeference counts as aligned."""
        mine, others = self.georeference, other.georeference
        if mine is not None and others is not None and None not in (mine.crs, others.crs) and mine.crs != others.crs:
            return f"is in {others.crs_name} instead of {mine.crs_name}"
        if (self.height, self.width) != (other.height, other.width):
            return f"has {other.width} x {other.height} pixels (width x height) instead of {self.width} x {self.height}"
        if self.georeference is None or other.georeference is None:
            return None
        to_here, from_other = ~self.georeference.transform, other.georeference.transform
        corners = ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))
        shift = max(math.dist(apply(to_here, apply(from_other, corner)), corner) for corner in corners)
        if shift > _SAME_GRID:
            names = f"{other.georeference.grid_name} instead of {self.georeference.grid_name}"
            return f"lies up to {shift:.1f} pixels off (origin and pixel size {names})"
        return None


def name_of(crs: Any) -> str:
    """EPSG code of a rasterio CRS, or the start of its WKT."""
    return str(crs.to_string()) if crs.to_epsg() else f"{crs.to_wkt()[:60]}..."


def transformed(points: NDArray[np.float64], crs: Any, to: Any) -> NDArray[np.float64]:
    """Transform points (N, 2) to another CRS; raises one of `LIBRARY_ERRORS` if that fails for a point."""
    return np.column_stack(rasterio.warp.transform(crs, to, points[:, 0], points[:, 1])) if len(points) else points


def apply_to_all(transform: Affine, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform points (N, 2)."""
    x, y = points[:, 0], points[:, 1]
    across = transform.a * x + transform.b * y + transform.c
    return np.column_stack([across, transform.d * x + transform.e * y + transform.f])


def apply(transform: Affine, point: tuple[float, float]) -> tuple[float, float]:
    """Transform a point; affine 2 and 3 use different operators for this."""
    x, y = point
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f
