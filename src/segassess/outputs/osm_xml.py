"""Polygons as elements of OSM XML (https://wiki.openstreetmap.org/wiki/OSM_XML), new to the server: their ids are negative."""

from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
import shapely


class OsmElements:
    """Adds nodes, ways and multipolygon relations to a parent element, with one run of ids."""

    def __init__(self, parent: ElementTree.Element) -> None:
        self._parent = parent
        self._number = 0

    def polygon(self, outline: shapely.Geometry, tags: Mapping[str, str]) -> None:
        """Add a (multi)polygon in WGS 84: a closed way for each part, or a multipolygon for one with holes."""
        for part in shapely.get_parts(np.array([outline], object)):
            if not part.interiors:
                self._way(shapely.orient_polygons(part).exterior, tags)
                continue
            members = [("outer", self._way(part.exterior, {})), *(("inner", self._way(ring, {})) for ring in part.interiors)]
            relation = self._element("relation", {"type": "multipolygon", **tags})
            for role, member in members:
                ElementTree.SubElement(relation, "member", type="way", ref=member, role=role)

    def _way(self, ring: shapely.LinearRing, tags: Mapping[str, str]) -> str:
        # The first corner closes the ring.
        corners = [self._element("node", {}, lat=f"{y:.7f}", lon=f"{x:.7f}").get("id", "") for x, y in ring.coords[:-1]]
        way = self._element("way", {})
        for corner in [*corners, *corners[:1]]:
            ElementTree.SubElement(way, "nd", ref=corner)
        _add_tags(way, tags)
        return way.get("id", "")

    def _element(self, name: str, tags: Mapping[str, str], **attributes: str) -> ElementTree.Element:
        self._number -= 1
        made = ElementTree.SubElement(self._parent, name, {"id": str(self._number), "version": "0", **attributes})
        _add_tags(made, tags)
        return made


def _add_tags(element: ElementTree.Element, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        ElementTree.SubElement(element, "tag", k=key, v=value)


def document(root: ElementTree.Element) -> str:
    """An indented XML document as text."""
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
