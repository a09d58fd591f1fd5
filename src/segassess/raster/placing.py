"""Bring polygons of a layer to the pixels of an image, or say why they have no place there."""

from contextlib import suppress
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from segassess.errors import InputError
from segassess.raster.grid import Georeference, Grid, apply_to_all, name_of, transformed
from segassess.raster.library_errors import LIBRARY_ERRORS, as_input_error

# Suffixes of GeoJSON, which GDAL takes for longitude and latitude where it does not say otherwise.
_GEOJSON = (".geojson", ".json")


def to_pixels(geometries: NDArray[Any], crs: str | None, grid: Grid, path: str, notes: list[str]) -> NDArray[Any]:
    """Geometries (N,) in pixel coordinates of the grid, None where one has no place there, with a note.

    Raises:
        InputError: if it is not known where they lie.
    """
    image = grid.georeference
    if image is None:
        _require_pixels(geometries, crs, path)
        notes.append("the image has no georeference, so coordinates are taken as pixels from its upper left corner, downwards.")
        return geometries
    if crs is None and image.crs is not None:
        notes.append("the layer has no CRS; that of the image is assumed.")
    if crs is not None and image.crs is None:
        raise InputError(f"{path} is in {crs} and its image has no CRS; assign one to the image.")
    placed = geometries.copy()
    if crs is not None and len(placed):
        with as_input_error(f"{path} cannot be read in its CRS ({{reason}}); assign one that is known.", ValueError):
            layer = CRS.from_user_input(crs)
        if layer != image.crs:
            placed = _in_crs(placed, layer, image, path, notes)
        placed = _unwrapped(placed, image, grid)
    to_image = ~image.transform
    return np.asarray(shapely.transform(placed, lambda points: apply_to_all(to_image, points)))


def require_meeting(polygons: NDArray[Any], grid: Grid, path: str) -> None:
    """Refuse a layer whose box, in pixels, does not meet the image: it lies elsewhere. One without polygons lies nowhere.

    Raises:
        InputError: which says where both are.
    """
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
    """Refuse what is in a CRS, over an image without one; GeoJSON says one even if it holds pixels, but those are large."""
    mend = (
        "give the image a CRS and a transform (ground control points are not enough; gdalwarp makes them), or a layer in pixels"
    )
    if crs is None or not len(geometries):
        return
    geojson = path.lower().endswith(_GEOJSON)
    boxes = shapely.bounds(geometries)
    if not geojson or (crs == "EPSG:4326" and (boxes[:, 2:] - boxes[:, :2]).max() < 1):
        raise InputError(f"{path} is in {crs} and its image has no georeference; {mend}.")
    if crs != "EPSG:4326" and crs != "OGC:CRS84":
        raise InputError(f"{path} is in {crs} and its image has no georeference; {mend}.")


def _in_crs(geometries: NDArray[Any], layer: CRS, image: Georeference, path: str, notes: list[str]) -> NDArray[Any]:
    """Geometries of the layer's CRS in that of the image; None where they have no place there."""
    count = len(geometries)
    if layer.is_geographic:
        boxes = shapely.bounds(geometries)
        # Also in units that are no degrees nothing lies beyond 360 or 90 degrees.
        stray = (np.abs(boxes[:, [0, 2]]).max(axis=1) > 720) | (np.abs(boxes[:, [1, 3]]).max(axis=1) > 90.000001)
        if stray.all():
            swapped = bool((np.abs(boxes[:, [0, 2]]) <= 90).all() and (np.abs(boxes[:, [1, 3]]) <= 180).all())
            hint = " (x and y may be swapped)" if swapped else ""
            raise InputError(
                f"{path} counts as {name_of(layer)}, but its coordinates, such as {boxes[0, 0]:.9g}, {boxes[0, 1]:.9g}, are no "
                f"degrees of longitude and latitude{hint}; save it with its CRS, as GeoPackage."
            )
        geometries = geometries.copy()
        geometries[stray] = None
    placed = geometries.copy()
    there = np.flatnonzero(~shapely.is_missing(geometries))
    with as_input_error(f"{path} cannot be brought from {name_of(layer)} to {image.crs_name} ({{reason}})."):
        # Halves, so that a stray vertex costs its polygon only. Where not one of all can be brought, that is the CRS's fault.
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
        notes.append(f"{lost} of {count} polygons have coordinates without a place in {image.crs_name}, and are left out.")
    return placed


def _never(layer: CRS, image: Georeference) -> bool:
    """Whether nothing can be brought from one CRS to the other, as to and from those of a building site."""
    return not all(crs.is_geographic or crs.is_projected for crs in (layer, image.crs))


def _unwrapped(geometries: NDArray[Any], image: Georeference, grid: Grid) -> NDArray[Any]:
    """Geometries in the image's CRS, whole across the antimeridian and on the image's side of it."""
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
    """How far apart in x the same place lies once around the world; None in a CRS where it lies at one x only."""
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
    """Whether the polygons would meet the image if x and y were swapped, in its CRS or in degrees."""
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
