"""Small things that make a mask hard to get right: cars, fences, pools, parking lots, rubble."""

import numpy as np

from segassess.synthetic.canvas import Canvas, Colour, jitter, mix, pick, tinted
from segassess.synthetic.layout import Frame, Parcel, Strip, parcel_pixels
from segassess.synthetic.styles import Palette
from segassess.synthetic.vegetation import plant

CAR_COLOURS: tuple[Colour, ...] = (
    (0.90, 0.90, 0.90), (0.75, 0.76, 0.78), (0.45, 0.46, 0.48), (0.13, 0.13, 0.15),
    (0.62, 0.14, 0.13), (0.16, 0.25, 0.48), (0.55, 0.52, 0.44),
)  # fmt: skip
DEBRIS_COLOURS: tuple[Colour, ...] = (
    (0.75, 0.74, 0.72), (0.25, 0.24, 0.23), (0.32, 0.44, 0.58), (0.55, 0.38, 0.28), (0.80, 0.76, 0.66),
)  # fmt: skip


def put_box(
    canvas: Canvas,
    x: float,
    y: float,
    angle: float,
    half: tuple[float, float],
    height: float,
    colour: Colour,
    opacity: float = 1.0,
) -> None:
    """Put a box of the given half sides (along, across), in metres, on the ground."""
    window = canvas.window(x, y, float(np.hypot(*half)) + 0.3)
    p, q = canvas.local(window, x, y, angle)
    box = (np.abs(p) < np.float32(half[0])) & (np.abs(q) < np.float32(half[1]))
    canvas.blend(window, box * np.float32(opacity), colour)
    canvas.height[window] = np.where(box, np.maximum(canvas.height[window], np.float32(height)), canvas.height[window])
    canvas.slope[:, *window][:, box] = 0


def put_car(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """Put a car, van or truck, but not on a building or water."""
    rng = canvas.rng
    pixel = canvas.pixel(x, y)
    if pixel is None or canvas.truth["building"][pixel] or canvas.truth["water"][pixel]:
        return
    colour = jitter(CAR_COLOURS[int(rng.choice(len(CAR_COLOURS), p=(0.3, 0.2, 0.15, 0.13, 0.08, 0.07, 0.07)))], 0.06, rng)
    if rng.random() < 0.08:
        put_box(canvas, x, y, angle, (4.0, 1.25), 3.0, jitter(mix(colour, (0.8, 0.8, 0.8), 0.5), 0.05, rng))
        return
    half = (float(rng.uniform(1.9, 2.4)), float(rng.uniform(0.82, 0.95)))
    put_box(canvas, x, y, angle, half, 0.9, colour)
    cosine, sine = np.cos(angle), np.sin(angle)
    put_box(canvas, x - 0.15 * cosine, y - 0.15 * sine, angle, (0.62 * half[0], 0.85 * half[1]), 1.3, (0.16, 0.18, 0.21), 0.8)
    put_box(canvas, x - 0.25 * cosine, y - 0.25 * sine, angle, (0.38 * half[0], 0.80 * half[1]), 1.5, colour)


def put_traffic(canvas: Canvas, frame: Frame, strips: list[Strip], per_100_m: float) -> None:
    """Put cars on the right-hand lanes and at the kerbs."""
    rng = canvas.rng
    for strip in strips:
        if strip.width < 3.2:
            continue
        for _ in range(int(rng.poisson(per_100_m * (strip.hi - strip.lo) / 100))):
            along = float(rng.uniform(strip.lo, strip.hi))
            across = strip.at + float(rng.choice((-1, 1))) * (strip.width / 2 - (1.0 if rng.random() < 0.6 else strip.width / 4))
            u, v = (across, along) if strip.axis == 0 else (along, across)
            put_car(canvas, *frame.ground(u, v), frame.heading(u, v) + (np.pi / 2 if strip.axis == 0 else 0))


def put_border(canvas: Canvas, frame: Frame, parcel: Parcel, palette: Palette) -> None:
    """Put a wall, fence or hedge with a gap around a parcel, but not over buildings or roads."""
    rng = canvas.rng
    if rng.random() < 0.45:
        _put_hedge(canvas, frame, parcel, palette)
        return
    window, _, u, v = parcel_pixels(canvas, frame, parcel, 0.0)
    if u.size == 0:
        return
    inward = np.minimum(np.minimum(u - parcel.u0, parcel.u1 - u), np.minimum(v - parcel.v0, parcel.v1 - v))
    wall = (np.abs(inward - np.float32(0.35)) < np.float32(rng.uniform(0.08, 0.18))) & ~canvas.taken[window]
    gate_u, gate_v = parcel.any_point(rng)
    wall &= (
        (np.abs(u - np.float32(gate_u)) > 1.7) | (np.abs(v - np.float32(parcel.v0)) > 2)
        if rng.random() < 0.5
        else (np.abs(v - np.float32(gate_v)) > 1.7) | (np.abs(u - np.float32(parcel.u0)) > 2)
    )
    canvas.blend(window, wall, jitter(mix(palette.paving, (0.80, 0.77, 0.72), float(rng.uniform(0, 1))), 0.1, rng))
    canvas.height[window][wall] = np.float32(rng.uniform(1.0, 2.2))


def _put_hedge(canvas: Canvas, frame: Frame, parcel: Parcel, palette: Palette) -> None:
    rng = canvas.rng
    sides = (
        ((parcel.u0, parcel.v0), (parcel.u1, parcel.v0)), ((parcel.u1, parcel.v0), (parcel.u1, parcel.v1)),
        ((parcel.u1, parcel.v1), (parcel.u0, parcel.v1)), ((parcel.u0, parcel.v1), (parcel.u0, parcel.v0)),
    )  # fmt: skip
    radius = float(rng.uniform(0.5, 0.9))
    colour = jitter(palette.leaves[0], 0.08, rng)
    for (ua, va), (ub, vb) in sides:
        if rng.random() < 0.5:
            continue
        for share in np.arange(0, 1, 1.1 * radius / max(abs(ub - ua) + abs(vb - va), 1e-6)):
            x, y = frame.ground(float(ua + share * (ub - ua)), float(va + share * (vb - va)))
            pixel = canvas.pixel(x, y)
            if pixel is not None and not canvas.taken[pixel]:
                size, height = radius * float(rng.uniform(0.9, 1.4)), float(rng.uniform(1.0, 2.0))
                plant(canvas, x, y, size, height, jitter(colour, 0.05, rng))


def put_pool(canvas: Canvas, frame: Frame, parcel: Parcel) -> None:
    """Put a swimming pool with a paved rim; it does not count as water."""
    rng = canvas.rng
    u, v = parcel.shrunk(4).any_point(rng)
    (x, y), angle = frame.ground(u, v), frame.heading(u, v)
    window = canvas.window(x, y, 7)
    if canvas.taken[window].size == 0 or canvas.taken[canvas.window(x, y, 4)].any():
        return
    half = (float(rng.uniform(2.2, 4.2)), float(rng.uniform(1.4, 2.2)))
    put_box(canvas, x, y, angle, (half[0] + 0.9, half[1] + 0.9), 0.0, jitter((0.78, 0.74, 0.68), 0.06, rng))
    put_box(canvas, x, y, angle, half, 0.0, jitter((0.30, 0.66, 0.74), 0.08, rng))
    canvas.taken[canvas.window(x, y, half[1] + 0.9)] = True


def put_parking(canvas: Canvas, frame: Frame, parcel: Parcel, palette: Palette) -> None:
    """Put a parking lot with bays and rows of cars; it looks like a road but does not count as one."""
    rng = canvas.rng
    window, weight, u, v = parcel_pixels(canvas, frame, parcel, 0.05)
    if weight.size == 0:
        return
    shade = 1 + np.float32(0.03) * canvas.grain[window] + np.float32(0.04) * canvas.mottle[window]
    canvas.blend(window, weight, tinted(jitter(palette.asphalt, 0.06, rng), shade))
    canvas.sealed[window] |= weight > 0.5
    depth, bay, aisle = 5.0, 2.6, 6.0
    rows = np.mod(v - np.float32(parcel.v0 + 1), np.float32(2 * depth + aisle))
    in_bays = (rows < np.float32(2 * depth)) & (weight > 0.9)
    lines = (np.mod(u - np.float32(parcel.u0), np.float32(bay)) < 0.15) | (np.abs(rows - np.float32(depth)) < 0.08)
    canvas.blend(window, in_bays * lines * np.float32(0.6), (0.85, 0.85, 0.83))
    filled = float(rng.uniform(0.1, 0.8))
    for start in np.arange(parcel.v0 + 1, parcel.v1 - 2 * depth, 2 * depth + aisle):
        for at_u in np.arange(parcel.u0 + bay / 2, parcel.u1 - bay / 2, bay):
            for at_v in (start + depth / 2, start + 1.5 * depth):
                if rng.random() < filled:
                    x, y = frame.ground(float(at_u), float(at_v))
                    put_car(canvas, x, y, frame.heading(float(at_u), float(at_v)) + np.pi / 2 + float(rng.normal(0, 0.03)))


def put_debris(canvas: Canvas, frame: Frame, parcel: Parcel, number: int) -> None:
    """Put crates, rubble and tarpaulins on open ground."""
    rng = canvas.rng
    for _ in range(number):
        x, y = frame.ground(*parcel.any_point(rng))
        pixel = canvas.pixel(x, y)
        if pixel is None or canvas.taken[pixel]:
            continue
        half = (float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.2, 0.7)))
        colour = pick(DEBRIS_COLOURS, 0.12, rng)
        put_box(canvas, x, y, float(rng.uniform(0, np.pi)), half, float(rng.uniform(0.2, 1.0)), colour)
