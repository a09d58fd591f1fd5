"""Roads: asphalt with markings and sidewalks, dirt with ragged edges and wheel tracks, and footpaths, which do not count."""

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.synthetic.canvas import BoolMap, Canvas, Colour, FloatMap, jitter, mix, tinted
from segassess.synthetic.layout import Frame, Strip
from segassess.synthetic.styles import Palette

MARKING: Colour = (0.88, 0.87, 0.84)
MARKED_FROM_M = 5.6


def paint_roads(canvas: Canvas, frame: Frame, strips: list[Strip], palette: Palette, paved_levels: int, verge: float) -> None:
    """Paint the roads and their truth, the main road last so that it runs through its junctions.

    Levels below `paved_levels` are asphalt; `verge` is the width of sidewalk or shoulder in metres.
    """
    if not strips:
        return
    u, v = frame.street(*canvas.coordinates(canvas.whole))
    asphalt: dict[int, Colour] = {}
    for strip in sorted(strips, key=lambda each: -each.level):
        across, along = (u - np.float32(strip.at), v) if strip.axis == 0 else (v - np.float32(strip.at), u)
        reach = strip.width / 2 + verge + 2.5
        near = (np.abs(across) < np.float32(reach)) & (along > np.float32(strip.lo - 2)) & (along < np.float32(strip.hi + 2))
        if not near.any():
            continue
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        across, along = across[window], along[window]
        if strip.level < paved_levels:
            colour = asphalt.setdefault(min(strip.level, 1), jitter(palette.asphalt, 0.05, canvas.rng))
            carriageway = _paint_asphalt(canvas, window, across, along, strip, colour, palette, verge)
        else:
            carriageway = _paint_dirt(canvas, window, across, along, strip, palette)
        canvas.truth["road"][window] |= carriageway
        canvas.taken[window] |= carriageway
        canvas.taken[window] |= (np.abs(across) < np.float32(strip.width / 2 + 0.5 * verge)) & (
            (along > np.float32(strip.lo)) & (along < np.float32(strip.hi))
        )
    # A road over a river is a bridge.
    bridge = canvas.truth["road"] & canvas.truth["water"]
    canvas.truth["water"] &= ~bridge
    canvas.height[bridge] = 0.6


def _paint_asphalt(
    canvas: Canvas,
    window: tuple[slice, slice],
    across: FloatMap,
    along: FloatMap,
    strip: Strip,
    colour: Colour,
    palette: Palette,
    verge: float,
) -> BoolMap:
    """Paint a carriageway with sidewalks or shoulders; returns its pixels."""
    rng = canvas.rng
    inside = (along > np.float32(strip.lo)) & (along < np.float32(strip.hi))
    side = np.abs(across)
    half = strip.width / 2
    carriageway: BoolMap = inside & (side < np.float32(half))
    grain, mottle = canvas.grain[window], canvas.mottle[window]
    if verge > 1.2 and rng.random() < 0.75:
        walk = inside & (side < np.float32(half + 0.85 * verge))
        slabs = 1 + np.float32(0.04) * np.sign(np.sin(np.float32(2 * np.pi / 1.5) * along)) + np.float32(0.03) * grain
        canvas.blend(window, walk * np.float32(0.9), tinted(mix(palette.paving, MARKING, 0.15), slabs))
        canvas.albedo[:, *window][:, walk & (side < np.float32(half + 0.25))] *= 1.06
    else:
        dusty = inside * np.clip((np.float32(half + 1.3) - side) / np.float32(1.0) + np.float32(0.6) * grain, 0, 1)
        dusty = dusty * ~canvas.truth["water"][window]
        canvas.blend(window, dusty * np.float32(0.7), mix(palette.soil, palette.paving, 0.3))
    wheel = np.cos(np.float32(2 * np.pi / (half / 1.05)) * side)
    patches = np.where(np.roll(mottle, 37, axis=0) > np.float32(1.3), np.float32(-0.10), np.float32(0))
    shade = 1 + np.float32(0.025) * wheel + np.float32(0.03) * grain + np.float32(0.03) * mottle + patches
    surface = tinted(colour, shade)
    dust = np.clip(side - np.float32(half - 0.8), 0, 1) * np.float32(0.4) * np.clip(np.float32(0.6) + mottle, 0, 1)
    surface += dust * (tinted(palette.soil, np.ones_like(dust)) - surface)
    canvas.blend(window, carriageway, surface)
    if strip.width >= MARKED_FROM_M and rng.random() < 0.7:
        worn = np.clip(np.float32(0.75) + np.float32(0.4) * mottle, 0.1, 0.95)
        dash = np.mod(along, np.float32(7.0)) < np.float32(3.0 if rng.random() < 0.7 else 7.0)
        line = carriageway & (side < np.float32(0.10)) & dash
        if strip.width > 7 and rng.random() < 0.7:
            line |= carriageway & (np.abs(side - np.float32(half - 0.4)) < np.float32(0.09))
        canvas.blend(window, np.asarray(line * worn, np.float32), MARKING)
    canvas.slope[:, *window][:, carriageway] = 0
    return carriageway


def _paint_dirt(
    canvas: Canvas, window: tuple[slice, slice], across: FloatMap, along: FloatMap, strip: Strip, palette: Palette
) -> BoolMap:
    """Paint a ragged road with two wheel tracks and sometimes grass between them; returns its pixels."""
    rng = canvas.rng
    inside = (along > np.float32(strip.lo)) & (along < np.float32(strip.hi))
    grain, mottle = canvas.grain[window], canvas.mottle[window]
    half = np.float32(strip.width / 2)
    side = np.abs(across + np.float32(0.25) * mottle)
    edge = half - side + np.float32(0.16) * grain
    carriageway: BoolMap = inside & (edge > 0)
    colour = jitter(mix(palette.soil, (0.80, 0.72, 0.60), 0.3), 0.05, rng)
    track = np.exp(-(((side - np.float32(0.8)) / np.float32(0.35)) ** 2))
    shade = 1 + np.float32(0.05) * track + np.float32(0.04) * grain + np.float32(0.04) * mottle
    surface = tinted(colour, shade)
    if rng.random() < 0.4:
        middle = np.clip(1 - side / np.float32(0.5), 0, 1) * np.clip(np.float32(0.5) + np.float32(0.5) * grain + mottle / 2, 0, 1)
        surface += middle * np.float32(0.8) * (tinted(palette.grass, np.ones_like(middle)) - surface)
    shoulder = inside * ~canvas.truth["water"][window] * np.clip(1 + edge / np.float32(0.8), 0, 1)
    canvas.blend(window, np.where(carriageway, np.float32(0.95), shoulder * np.float32(0.6)), surface)
    canvas.slope[:, *window][:, carriageway] = 0
    return carriageway


def paint_footpath(canvas: Canvas, start: NDArray[np.float64], end: NDArray[np.float64], palette: Palette) -> None:
    """Paint a path about one metre wide between two ground points (x, y) in metres; too narrow to count as a road."""
    rng = canvas.rng
    steps = np.linspace(0, 1, 24)[:, None]
    line = start + steps * (end - start)
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    normal = np.array([start[1] - end[1], end[0] - start[0]]) / max(length, 1e-6)
    swing = np.sin(np.pi * steps * rng.integers(1, 4)) * rng.normal(0, 0.07 * length) * np.sin(np.pi * steps)
    points = np.round((line + swing * normal) * canvas.per_metre * 16).astype(np.int32)
    drawn = np.zeros(canvas.shape, np.uint8)
    cv2.polylines(drawn, [points[:, None, :]], False, 255, max(1, round(rng.uniform(0.6, 1.4) * canvas.per_metre)), shift=4)
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.35 * canvas.per_metre).astype(np.float32) / 255
    weight = np.asarray(np.clip(soft * 1.3 + 0.12 * canvas.grain * soft, 0, 0.8) * ~canvas.taken, np.float32)
    canvas.blend(canvas.whole, weight, mix(palette.soil, (0.82, 0.74, 0.62), 0.35))
