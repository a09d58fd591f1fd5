"""Open ground: natural cover, fields with furrows, yards, rivers and ponds."""

import numpy as np

from segassess.synthetic.canvas import Canvas, Colour, FloatMap, jitter, mix, tinted
from segassess.synthetic.layout import Frame, Parcel, parcel_pixels
from segassess.synthetic.noise import octaves, smooth_noise
from segassess.synthetic.styles import Palette


def _step(values: FloatMap, edge: float, softness: float) -> FloatMap:
    return np.asarray(np.clip((values - np.float32(edge)) / np.float32(softness) + np.float32(0.5), 0, 1), np.float32)


def paint_ground(canvas: Canvas, palette: Palette, greenness: float) -> None:
    """Cover everything with patches of green grass, dry grass and bare soil; `greenness` in [0, 1] is the share of grass."""
    metre = canvas.per_metre
    cover = octaves(canvas.shape, (40 * metre, 14 * metre, 5 * metre), (1.0, 0.9, 0.6), canvas.rng) + 0.35 * canvas.grain
    dryness = smooth_noise(canvas.shape, 22 * metre, canvas.rng) + 0.5 * canvas.mottle
    canvas.albedo[:] = np.asarray(palette.soil, np.float32)[:, None, None]
    # The share of a unit normal field above an edge falls like the logistic function of 1.7 times the edge.
    edge = -float(np.log(greenness / (1 - greenness))) / 1.7
    canvas.blend(canvas.whole, _step(cover, edge, 0.9), palette.grass)
    canvas.blend(canvas.whole, _step(dryness, 0.7, 1.6) * np.float32(0.7) * _step(cover, edge, 0.9), palette.dry_grass)
    canvas.albedo *= 1 + 0.07 * canvas.grain + 0.05 * canvas.mottle


def grow_scrub(canvas: Canvas, palette: Palette, amount: float) -> None:
    """Add dark tufts and weeds to a share `amount` of the land that is neither built nor paved."""
    metre = canvas.per_metre
    tufts = octaves(canvas.shape, (0.8 * metre, 1.7 * metre), (0.7, 1.0), canvas.rng) + np.float32(0.35) * canvas.grain
    # Scrub grows in patches, denser where the ground is green already.
    edge = 2.3 - 1.6 * amount - 0.8 * canvas.mottle
    tall = np.clip((tufts - edge) * np.float32(0.35), 0, 0.7)
    tall[canvas.taken | canvas.sealed | (canvas.height > 0)] = 0
    wins = tall > np.maximum(canvas.crown, 0.05)
    canvas.crown[wins] = tall[wins]
    # Thin growth lets the ground through.
    dense = np.clip(tall[wins] / np.float32(0.35), 0.25, 1)
    green = np.asarray(mix(palette.leaves[1], palette.grass, 0.5), np.float32)
    leaves = green[:, None] * (1 + np.float32(0.10) * canvas.grain[wins])
    canvas.crown_albedo[:, wins] = canvas.albedo[:, wins] * (1 - dense) + leaves * dense


def wear_ground(canvas: Canvas, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
    """Paint bare, trodden ground that fades out at `radius` metres."""
    window = canvas.window(x, y, 1.3 * radius)
    grid_x, grid_y = canvas.coordinates(window)
    distance = np.hypot(grid_x - np.float32(x), grid_y - np.float32(y))
    uneven = np.float32(0.22 * radius) * canvas.mottle[window] + np.float32(0.06 * radius) * canvas.grain[window]
    bare = np.clip((np.float32(radius) - distance + uneven) / np.float32(0.35 * radius), 0, 1)
    shade = 1 + np.float32(0.05) * canvas.grain[window]
    canvas.blend(window, np.float32(strength) * bare * ~canvas.taken[window], tinted(colour, shade))


def paint_cover(
    canvas: Canvas,
    frame: Frame,
    parcel: Parcel,
    colour: Colour,
    *,
    opacity: float = 1.0,
    ragged: float = 0.4,
    sealed: bool = False,
) -> None:
    """Cover a parcel with one material whose border wanders by `ragged` metres; the texture shows through.

    Nothing grows on a `sealed` cover, and it leaves roads, water and buildings untouched.
    """
    window, weight, _, _ = parcel_pixels(canvas, frame, parcel, ragged)
    if sealed:
        weight = weight * ~canvas.taken[window]
    shade = 1 + np.float32(0.045) * canvas.grain[window] + np.float32(0.045) * canvas.mottle[window][::-1]
    canvas.blend(window, np.float32(opacity) * weight, tinted(colour, shade))
    if sealed:
        canvas.sealed[window] |= weight > 0.5


def paint_field(canvas: Canvas, frame: Frame, parcel: Parcel, palette: Palette) -> None:
    """Paint a field: crop or soil in furrows, patchy growth, tractor tracks, a headland."""
    rng = canvas.rng
    window, weight, u, v = parcel_pixels(canvas, frame, parcel, 0.5)
    if weight.size == 0:
        return
    along, across = (u, v) if rng.random() < 0.5 else (v, u)
    period = float(rng.choice((0.9, 1.2, 1.8, 2.6, 3.5))) * float(rng.uniform(0.9, 1.1))
    wander = np.float32(0.12) * canvas.mottle[window]
    ridge = np.sin(np.float32(2 * np.pi / period) * (across + wander))
    crop = jitter(mix(palette.grass, palette.leaves[int(rng.integers(3))], float(rng.uniform(0, 0.8))), 0.10, rng)
    crop = mix(crop, (0.70, 0.62, 0.38), float(rng.choice((0.0, 0.0, 0.35, 0.75))))
    growth = float(rng.uniform(0.1, 1.0))
    patchy = canvas.mottle[window] * np.float32(0.35) + canvas.grain[window] * np.float32(0.35)
    covered = np.asarray(np.clip(np.float32(growth) + np.float32(0.45) * ridge + patchy * np.float32(0.8), 0, 1), np.float32)
    soil = jitter(mix(palette.soil, (0.45, 0.36, 0.28), 0.3), 0.06, rng)
    colours = tinted(crop, covered) + tinted(soil, 1 - covered)
    colours *= 1 + np.float32(rng.uniform(0.02, 0.08)) * ridge + np.float32(0.05) * canvas.grain[window]
    if rng.random() < 0.5:
        spacing = float(rng.uniform(9, 18))
        beside = np.abs(np.mod(across + wander, np.float32(spacing)) - np.float32(spacing / 2))
        track = np.abs(beside - np.float32(0.9)) < 0.25
        colours[:, track] += np.float32(0.5) * (np.asarray(soil, np.float32)[:, None] - colours[:, track])
    headland = np.minimum(along - along.min(), along.max() - along)
    weight = weight * np.clip(headland / np.float32(0.8), 0.4, 1)
    canvas.blend(window, weight, colours)
    inside = weight > 0.5
    slope = np.float32(0.10) * np.cos(np.float32(2 * np.pi / period) * (across + wander))
    canvas.slope[:, *window][:, inside] += slope[inside] * np.float32(0.7)


def _water_surface(canvas: Canvas, inward: FloatMap, palette: Palette) -> None:
    """Paint water where `inward`, the distance to the shore in metres, is positive, and a bank around it."""
    wet = inward > 0
    bank = np.clip(1 + inward / np.float32(2.2), 0, 1) * ~wet
    reeds = np.clip(0.5 + 0.8 * canvas.grain, 0, 1)
    canvas.blend(canvas.whole, bank * np.float32(0.75), mix(palette.soil, (0.40, 0.35, 0.26), 0.5))
    canvas.blend(canvas.whole, bank * reeds * np.float32(0.7), palette.leaves[0])
    depth = np.clip(inward / np.float32(2.5), 0, 1)
    colours = tinted(palette.water, depth) + tinted(mix(palette.water, palette.soil, 0.25), 1 - depth)
    colours *= 1 + np.float32(0.05) * canvas.mottle + np.float32(0.015) * canvas.grain
    canvas.blend(canvas.whole, wet, colours)
    canvas.truth["water"] |= wet
    canvas.taken |= inward > -1.5
    canvas.height[wet] = 0
    canvas.slope[:, wet] = 0


def paint_river(canvas: Canvas, palette: Palette) -> None:
    """Paint a winding river across the scene."""
    rng = canvas.rng
    height, width = canvas.extent
    angle = float(rng.uniform(0, np.pi))
    x, y = width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.8)
    along, across = canvas.local(canvas.whole, x, y, angle)
    wavelength, phase = float(rng.uniform(60, 160)), float(rng.uniform(0, 6.28))
    swing = np.float32(wavelength * rng.uniform(0.04, 0.10))
    across = across + swing * np.sin(np.float32(2 * np.pi / wavelength) * along + np.float32(phase))
    half = float(rng.uniform(2.0, 11.0))
    shore = np.float32(half) - np.abs(across) + np.float32(0.08 * half + 0.35) * canvas.mottle + np.float32(0.15) * canvas.grain
    _water_surface(canvas, shore, palette)


def paint_pond(canvas: Canvas, palette: Palette) -> None:
    """Paint a pond with an irregular shore."""
    rng = canvas.rng
    height, width = canvas.extent
    x, y = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.9)
    radius, stretch, angle = float(rng.uniform(6, 18)), float(rng.uniform(1, 1.8)), float(rng.uniform(0, np.pi))
    along, across = canvas.local(canvas.whole, x, y, angle)
    distance = np.hypot(along / np.float32(stretch), across)
    shore = np.float32(radius) - distance + np.float32(0.09 * radius) * canvas.mottle + np.float32(0.12) * canvas.grain
    _water_surface(canvas, shore, palette)
