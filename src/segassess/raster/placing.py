"""Transform the polygons of a layer to the pixels of an image, or say why that is impossible."""

from contextlib import suppress
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from segassess.errors import InputError
from segassess.raster.grid import Georeference, Grid, apply_to_all, name_of, transformed
from segassess.raster.library_errors import LIBRARY_ERRORS, as_input_error

# GDAL reads GeoJSON without a CRS as longitude and latitude.
_GEOJSON = (".geojson", ".json")


def to_pixels(geometries: NDArray[Any], crs: str | None, grid: Grid, path: str, notes: list[str]) -> NDArray[Any]:
    """Geometries (N,) in pixel coordinates, None (with a note) if that fails for one; InputError if their CRS is unknown."""
    image = grid.georeference
    if image is None:
        _require_pixels(geometries, crs, path)
        notes.append("the image has no georeference, so coordinates are read as pixels (origin upper left, y down).")
        return geometries
    if crs is None and image.crs is not None:
        notes.append("the layer has no CRS; that of the image is assumed.")
    if crs is not None and image.crs is None:
        raise InputError(f"{path} is in {crs} and its image has no CRS; assign one to the image.")
    placed = geometries.copy()
    if crs is not None and len(placed):
        with as_input_error(f"{path} cannot be read in its CRS ({{reason}}); assign a known CRS.", ValueError):
            layer = CRS.from_user_input(crs)
        if layer != image.crs:
            placed = _in_crs(placed, layer, image, path, notes)
        placed = _unwrapped(placed, image, grid)
    to_image = ~image.transform
    return np.asarray(shapely.transform(placed, lambda points: apply_to_all(to_image, points)))


def require_meeting(polygons: NDArray[Any], grid: Grid, path: str) -> None:
    """Raise InputError if the layer's bounding box, in pixels, does not meet the image; an empty layer passes."""
    if not len(polygons):
        return
    left, top, right, bottom = shapely.total_bounds(polygons)
    if left <= grid.width and right >= 0 and top <= grid.height and bottom >= 0:
        return
    image, hint = grid.georeference, ""
    to_ground = (lambda points: points) if image is None else (lambda points: apply_to_all(image.transform, points))
    boxes = []
    for box in ((left, top, right, bottom), (0, 0, grid.width, grid.height)):
        corners = to_ground(np.array(box, float).reshape(2, 2))
        boxes.append("({:.9g}, {:.9g}) to ({:.9g}, {:.9g})".format(*corners.min(axis=0), *corners.max(axis=0)))
    where = "pixels" if image is None or image.crs is None else image.crs_name
    if image is not None and image.crs is not None and _swapped(polygons, image, grid):
        hint = ", and they would lie on it with x and y swapped"
    raise InputError(
        f"None of the {len(polygons)} polygons of {path} lies on the image: in {where} they span {boxes[0]} "
        f"and the image {boxes[1]}{hint}; check the CRS and the order of the axes."
    )


def _require_pixels(geometries: NDArray[Any], crs: str | None, path: str) -> None:
    """Refuse a layer with a CRS over an image without one. GeoJSON always has a CRS but may hold pixels: large numbers."""
    mend = "give the image a CRS and a transform (gdalwarp derives them from ground control points), or give a layer in pixels"
    if crs is None or not len(geometries):
        return
    boxes = shapely.bounds(geometries)
    small = crs == "EPSG:4326" and (boxes[:, 2:] - boxes[:, :2]).max() < 1
    if small or not path.lower().endswith(_GEOJSON) or crs not in ("EPSG:4326", "OGC:CRS84"):
        raise InputError(f"{path} is in {crs} and its image has no georeference; {mend}.")


def _in_crs(geometries: NDArray[Any], layer: CRS, image: Georeference, path: str, notes: list[str]) -> NDArray[Any]:
    """Transform geometries to the image's CRS; None where that fails."""
    count = len(geometries)
    if layer.is_geographic:
        boxes = shapely.bounds(geometries)
        # No valid coordinate lies beyond these limits, in whatever unit.
        stray = (np.abs(boxes[:, [0, 2]]).max(axis=1) > 720) | (np.abs(boxes[:, [1, 3]]).max(axis=1) > 90.000001)
        if stray.all():
            swapped = bool((np.abs(boxes[:, [0, 2]]) <= 90).all() and (np.abs(boxes[:, [1, 3]]) <= 180).all())
            hint = " (x and y may be swapped)" if swapped else ""
            raise InputError(
                f"{path} is read as {name_of(layer)}, but its coordinates, such as {boxes[0, 0]:.9g}, {boxes[0, 1]:.9g}, are not "
                f"degrees of longitude and latitude{hint}; save it with its CRS, as GeoPackage."
            )
        geometries = geometries.copy()
        geometries[stray] = None
    placed = geometries.copy()
    there = np.flatnonzero(~shapely.is_missing(geometries))
    with as_input_error(f"{path} cannot be transformed from {name_of(layer)} to {image.crs_name} ({{reason}})."):
        # Bisect, so that a stray vertex costs only its polygon. If every polygon fails, the CRS is to blame.
        parts = [there]
        failed: Exception | None = None
        while parts:
            part = parts.pop()
            try:
                placed[part] = shapely.transform(geometries[part], lambda points: transformed(points, layer, image.crs))
            except (*LIBRARY_ERRORS, ValueError) as error:
                failed = error
                placed[part] = None
                if _never(layer, image):
                    raise
                if len(part) > 1:
                    parts += [part[: len(part) // 2], part[len(part) // 2 :]]
        lost = int(shapely.is_missing(placed).sum())
        if failed is not None and lost == count:
            raise failed
    if lost:
        notes.append(f"{lost} of {count} polygons cannot be transformed to {image.crs_name} and are left out.")
    return placed


def _never(layer: CRS, image: Georeference) -> bool:
    """Whether the CRSs can never be transformed into each other, such as an engineering CRS."""
    return not all(crs.is_geographic or crs.is_projected for crs in (layer, image.crs))


def _unwrapped(geometries: NDArray[Any], image: Georeference, grid: Grid) -> NDArray[Any]:
    """Geometries in the image's CRS, joined across the antimeridian and moved to the image's side of it."""
    period = _period(image)
    if period is None:
        return geometries
    middle = apply_to_all(image.transform, np.array([[grid.width / 2, grid.height / 2]]))[0, 0]

    def unwrap(ring: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = np.abs(np.diff(ring[:, 0]))
        if ((steps > period / 2) & (steps < period * (1 - 1e-9))).any():
            ring = np.column_stack([np.unwrap(ring[:, 0], period=period), ring[:, 1]])
        turns = np.round((middle - (ring[:, 0].min() + ring[:, 0].max()) / 2) / period)
        return np.asarray(ring + np.array([turns * period, 0]))

    boxes = shapely.bounds(geometries)
    far = (boxes[:, 2] - boxes[:, 0] > period / 2) | (np.abs((boxes[:, 0] + boxes[:, 2]) / 2 - middle) > period / 2)
    unwrapped = geometries.copy()
    for index in np.flatnonzero(far):
        parts = [
            shapely.Polygon(
                unwrap(shapely.get_coordinates(part.exterior)), [unwrap(shapely.get_coordinates(r)) for r in part.interiors]
            )
            for part in shapely.get_parts(geometries[index])
        ]
        unwrapped[index] = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return unwrapped


def _period(image: Georeference) -> float | None:
    """The width of the world in x units; None if the CRS does not repeat in x."""
    if image.crs.is_geographic:
        return float(2 * np.pi / image.crs.units_factor[1])
    try:
        (west, _), (east, _), (north_west, _), (north_east, _) = transformed(
            np.array([(-180.0, 0.0), (180.0, 0.0), (-180.0, 50.0), (180.0, 50.0)]), "EPSG:4326", image.crs
        )
    except (*LIBRARY_ERRORS, ValueError):
        return None
    width = east - west
    return float(width) if width > 1 and abs(width - (north_east - north_west)) < 1e-6 * width else None


def _swapped(polygons: NDArray[Any], image: Georeference, grid: Grid) -> bool:
    """Whether the polygons would meet the image with x and y swapped, in its CRS or in degrees."""
    points = apply_to_all(image.transform, shapely.get_coordinates(polygons))
    candidates = [points[:, ::-1]]
    degrees = image.degrees(points)
    if degrees is not None:
        with suppress(*LIBRARY_ERRORS, ValueError):
            candidates.append(transformed(degrees[:, ::-1], "EPSG:4326", image.crs))
    for swapped in candidates:
        pixels = apply_to_all(~image.transform, swapped)
        if ((pixels >= 0) & (pixels <= [grid.width, grid.height])).all(axis=1).any():
            return True
    return False
