"""Kinds of landscape and their palettes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segassess.synthetic.canvas import Colour, mix, pick

GRASS: tuple[Colour, ...] = ((0.41, 0.46, 0.27), (0.35, 0.41, 0.24), (0.48, 0.49, 0.31), (0.55, 0.52, 0.36))
SOIL: tuple[Colour, ...] = ((0.68, 0.46, 0.32), (0.72, 0.62, 0.48), (0.56, 0.46, 0.35), (0.78, 0.70, 0.57), (0.60, 0.55, 0.49))
PAVING: tuple[Colour, ...] = ((0.66, 0.64, 0.61), (0.58, 0.57, 0.56), (0.72, 0.66, 0.58), (0.62, 0.55, 0.49))
ASPHALT: tuple[Colour, ...] = ((0.44, 0.44, 0.45), (0.52, 0.51, 0.50), (0.37, 0.37, 0.39), (0.58, 0.57, 0.55))
LEAVES: tuple[Colour, ...] = ((0.27, 0.37, 0.17), (0.22, 0.32, 0.16), (0.34, 0.42, 0.20), (0.30, 0.36, 0.22), (0.38, 0.40, 0.22))
WATER: tuple[Colour, ...] = ((0.20, 0.27, 0.24), (0.16, 0.24, 0.29), (0.31, 0.31, 0.25), (0.22, 0.28, 0.20))

ROOF_COLOURS: dict[str, tuple[Colour, ...]] = {
    "tile": ((0.66, 0.36, 0.27), (0.73, 0.45, 0.33), (0.54, 0.33, 0.27), (0.45, 0.36, 0.32)),
    "slate": ((0.42, 0.43, 0.46), (0.50, 0.49, 0.48), (0.36, 0.34, 0.34)),
    "metal": ((0.76, 0.79, 0.82), (0.66, 0.69, 0.73), (0.84, 0.85, 0.86), (0.60, 0.60, 0.60)),
    "painted": ((0.34, 0.46, 0.60), (0.58, 0.32, 0.29), (0.64, 0.40, 0.40), (0.42, 0.50, 0.46), (0.45, 0.29, 0.27)),
    "rust": ((0.55, 0.38, 0.29), (0.50, 0.40, 0.34), (0.62, 0.48, 0.40)),
    "concrete": ((0.67, 0.65, 0.61), (0.58, 0.56, 0.53), (0.74, 0.71, 0.66), (0.62, 0.58, 0.52)),
    "white": ((0.90, 0.90, 0.88), (0.86, 0.87, 0.88)),
    "tar": ((0.33, 0.33, 0.34), (0.42, 0.41, 0.41)),
}


@dataclass(frozen=True)
class Style:
    """How a kind of landscape is laid out; lengths in metres, probabilities and shares in [0, 1]."""

    kind: str
    frequency: float  # share of scenes, up to a common factor
    block: tuple[float, float]  # (smallest, largest) length between roads
    parcel: tuple[float, float]  # (smallest, largest) length within a block
    road_widths: tuple[float, ...]  # by level of the street grid, main road first
    verge: float  # sidewalk or shoulder beside a road
    paved_levels: int  # roads of a level below this are asphalt, the others dirt
    bending: float  # largest slope of a bent road to its axis
    uses: dict[str, float]  # share of parcels: house, hall, field, meadow, wood, yard, parking
    setback: tuple[float, float]  # (smallest, largest) distance of a building from its parcel's border
    roofs: dict[str, float]  # weight of each material of `ROOF_COLOURS`
    pitched: float  # probability, where the material allows both
    storeys: tuple[int, int]  # (fewest, most)
    turn: float  # standard deviation of a building's rotation against the street, radians
    trees: float  # per 100 square metres of open parcel
    fenced: float  # probability that a parcel is fenced or hedged
    greenness: float  # share of grass against soil on open land
    water: float  # probability of a river or pond


# A column per kind of landscape.
_TABLE: dict[str, tuple[Any, ...]] = {
    "kind": ("farmland", "village", "suburb", "town", "industry"),
    "frequency": (0.16, 0.26, 0.24, 0.22, 0.12),
    "block": ((70, 190), (42, 100), (36, 80), (26, 60), (55, 120)),
    "parcel": ((26, 90), (14, 25), (12, 21), (7, 13.5), (30, 60)),
    "road_widths": ((5.5, 3.6, 3.0), (5.0, 3.6, 2.8), (8.0, 6.0, 5.0), (8.5, 5.0, 3.0), (9.0, 7.0)),
    "verge": (1.0, 0.8, 2.0, 1.0, 2.0),
    "paved_levels": (1, 0, 3, 2, 2),
    "bending": (0.25, 0.4, 0.3, 0.2, 0.08),
    "uses": (
        {"field": 0.68, "meadow": 0.17, "wood": 0.08, "house": 0.07},
        {"house": 0.50, "meadow": 0.20, "field": 0.14, "wood": 0.10, "yard": 0.06},
        {"house": 0.84, "meadow": 0.05, "wood": 0.05, "yard": 0.03, "parking": 0.03},
        {"house": 0.86, "yard": 0.08, "meadow": 0.05, "wood": 0.01},
        {"hall": 0.55, "parking": 0.20, "yard": 0.15, "meadow": 0.10},
    ),
    "setback": ((3, 9), (1.2, 4), (1, 3.2), (0.0, 0.8), (3, 8)),
    "roofs": (
        {"tile": 3, "slate": 1, "metal": 2, "rust": 1},
        {"metal": 5, "rust": 2, "painted": 1, "tile": 1},
        {"tile": 5, "slate": 3, "painted": 1, "concrete": 1, "metal": 0.5},
        {"concrete": 5, "metal": 3, "rust": 2, "painted": 2, "tile": 1, "white": 0.5},
        {"metal": 4, "white": 2, "tar": 2, "painted": 2, "concrete": 2},
    ),
    "pitched": (1.0, 1.0, 0.9, 0.55, 0.5),
    "storeys": ((1, 2), (1, 1), (1, 2), (1, 4), (2, 3)),
    "turn": (0.05, 0.12, 0.03, 0.05, 0.02),
    "trees": (0.10, 0.75, 0.7, 0.25, 0.10),
    "fenced": (0.25, 0.15, 0.65, 0.15, 0.3),
    "greenness": (0.7, 0.55, 0.8, 0.3, 0.45),
    "water": (0.30, 0.12, 0.10, 0.05, 0.06),
}
STYLES = [Style(**dict(zip(_TABLE, column, strict=True))) for column in zip(*_TABLE.values(), strict=True)]


@dataclass(frozen=True)
class Palette:
    """Base colours of one scene's ground, roads and plants."""

    grass: Colour
    dry_grass: Colour
    soil: Colour
    paving: Colour
    asphalt: Colour
    leaves: tuple[Colour, ...]
    water: Colour


def draw_style(rng: np.random.Generator) -> Style:
    """A landscape, denser or emptier than its kind's average."""
    weights = np.array([style.frequency for style in STYLES])
    style = STYLES[int(rng.choice(len(STYLES), p=weights / weights.sum()))]
    scale = float(np.exp(rng.normal(0, 0.18)))
    return replace(
        style,
        parcel=(style.parcel[0] * scale, style.parcel[1] * scale),
        trees=style.trees * float(np.exp(rng.normal(0, 0.5))),
        greenness=float(np.clip(style.greenness + rng.normal(0, 0.2), 0.05, 0.95)),
    )


def draw_palette(rng: np.random.Generator) -> Palette:
    """The colours of one climate and one kind of soil."""
    grass = pick(GRASS, 0.06, rng)
    leaves = tuple(mix(pick(LEAVES, 0.08, rng), grass, 0.15) for _ in range(3))
    dry_grass = mix(pick(GRASS, 0.06, rng), (0.66, 0.59, 0.40), 0.5)
    soil, paving, asphalt = (pick(colours, 0.06, rng) for colours in (SOIL, PAVING, ASPHALT))
    return Palette(grass, dry_grass, soil, paving, asphalt, leaves, pick(WATER, 0.06, rng))
