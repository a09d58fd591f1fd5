"""A page of all judged scenes, worst first, with a map of their footprints and links to their results: one file, no network.

`segassess.outputs.pages` joins it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import shapely

from segassess.outputs.pages import finite, joined
from segassess.outputs.panel import ERROR_SCALE

# Digits that the page has of a number, by the end of its column's name: places to 0.1 m, areas, shares and scores.
_DIGITS = {"_lon": 6, "_lat": 6, "_px": 1, "_m2": 1}
_SHARE_DIGITS, _DEGREE_DIGITS = 5, 6


@dataclass(frozen=True)
class IndexedScene:
    """A judged mask in the index."""

    values: Mapping[str, Any]  # by column of the index; `folder` is relative to it
    footprint: shapely.Geometry  # a polygon in WGS 84
    run: int  # which of the runs judged it


class RunPages(TypedDict):
    """Pages of a run, by their path relative to the index; None if it has none."""

    report: str | None
    findings: str | None


def render_index_page(
    columns: Sequence[str],
    scenes: Sequence[IndexedScene],
    runs: Sequence[RunPages],
    about: str,
    summary: Sequence[tuple[str, str]],
) -> str:
    """The page as HTML of scenes, worst first; its head has the sentence `about` and `summary`, names and values."""
    content = {
        "about": about,
        "summary": list(summary),
        "scale": ERROR_SCALE.tolist(),
        "runs": list(runs),
        "columns": [*columns, "outline", "run"],
        "scenes": [
            [*(_short(name, each.values[name]) for name in columns), _outline(each.footprint), each.run] for each in scenes
        ],
    }
    return joined(__package__, "segassess index", content)


def _short(column: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return finite(value)
    return round(value, next((digits for end, digits in _DIGITS.items() if column.endswith(end)), _SHARE_DIGITS))


def _outline(footprint: shapely.Geometry) -> list[float]:
    """Longitude and latitude of each corner in turn."""
    corners = shapely.get_coordinates(footprint)[:-1].round(_DEGREE_DIGITS)
    return [float(value) for value in corners.ravel()]
