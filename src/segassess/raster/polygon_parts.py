"""Extract areas from any geometries of a layer: open rings, collections, 3D surfaces."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

_AREAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
# WKB codes that shapely does not know, and known ones of the same layout.
_SURFACES = {15: 6, 16: 6, 17: 3}


def areas(stored: Sequence[bytes | None], notes: list[str]) -> NDArray[Any]:
    """Polygons (N,) of 2-D geometries in WKB, None where there is no area; `notes` reports what was repaired or dropped."""
    count = len(stored)
    geometries = np.asarray(shapely.from_wkb(np.array(stored, object), on_invalid="ignore"))

    def mend(chosen: NDArray[np.bool_], way: Callable[[int], Any], note: str) -> None:
        for index in np.flatnonzero(chosen):
            geometries[index] = way(int(index))
        mended = int((chosen & ~shapely.is_missing(geometries)).sum())
        if mended:
            notes.append(f"{mended} of {count} features {note}")

    unread = np.array([binary is not None for binary in stored], bool) & shapely.is_missing(geometries)
    surfaces = unread & np.array([binary is not None and _code(binary) in _SURFACES for binary in stored], bool)
    mend(surfaces, lambda index: _from_above(bytes(stored[index] or b"")), "are 3D surfaces; their footprint is used.")
    open_rings = unread & shapely.is_missing(geometries)
    mend(
        open_rings,
        lambda index: shapely.from_wkb(stored[index], on_invalid="fix"),
        "had open rings, which were closed.",
    )
    collections = shapely.get_type_id(geometries) == shapely.GeometryType.GEOMETRYCOLLECTION
    mend(collections, lambda index: _polygons_of(geometries[index]), "are geometry collections; only their polygons are used.")
    here = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    finite = here & np.isfinite(shapely.bounds(geometries)).all(axis=1)
    finite[finite] = [bool(np.isfinite(shapely.get_coordinates(each)).all()) for each in geometries[finite]]
    areal = np.isin(shapely.get_type_id(geometries), _AREAL)
    for lost, note in (
        (~here, "have no readable geometry and are left out."),
        (here & ~finite, "have non-finite coordinates and are left out."),
        (finite & ~areal, "are not polygons and are left out."),
    ):
        if lost.any():
            notes.append(f"{int(lost.sum())} of {count} features {note}")
    geometries[~(finite & areal)] = None
    return geometries


def _polygons_of(collection: Any) -> Any:
    """Polygons of a possibly nested collection, as one geometry; the collection itself if it has none."""
    parts = shapely.get_parts(np.array([collection], object))
    while (shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT).any():
        parts = shapely.get_parts(parts)
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if len(polygons) < 2:
        return polygons[0] if len(polygons) else collection
    return shapely.MultiPolygon(list(polygons))


def _from_above(binary: bytes) -> Any:
    """Footprint of a polyhedral surface, TIN or triangle; None if it cannot be read."""
    known = bytearray(binary)
    _rename(known, 0)
    surface: Any = shapely.from_wkb(bytes(known), on_invalid="fix")
    if surface is None:
        return None
    # Walls have no area from above.
    faces = [face for face in shapely.make_valid(shapely.get_parts(surface)) if face.area > 0]
    return shapely.union_all(faces) if faces else None


def _code(binary: bytes) -> int:
    return int(struct.unpack_from("<I" if binary[0] else ">I", binary, 1)[0])


def _rename(binary: bytearray, start: int) -> int:
    """Replace the codes of a surface and its faces from offset `start`; returns the end offset."""
    order = "<" if binary[start] else ">"
    code, parts = struct.unpack_from(f"{order}II", binary, start + 1)
    struct.pack_into(f"{order}I", binary, start + 1, _SURFACES.get(code, code))
    at = start + 9
    for _ in range(parts):
        # A part is a face, or a ring of one.
        at = _rename(binary, at) if code in (15, 16) else at + 4 + 16 * struct.unpack_from(f"{order}I", binary, at)[0]
    return at
