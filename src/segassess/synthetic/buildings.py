"""Buildings: footprints of one or more wings, and the roofs over them."""

from dataclasses import dataclass

import numpy as np

from segassess.synthetic.canvas import BoolMap, Canvas, Colour, FloatMap, Window, mix, pick, tinted

STOREY_M = 2.9
ROOF_CLUTTER: tuple[Colour, ...] = ((0.80, 0.80, 0.78), (0.18, 0.18, 0.20), (0.30, 0.45, 0.62), (0.60, 0.42, 0.34))
RUST_STAIN: Colour = (0.50, 0.32, 0.22)


@dataclass(frozen=True)
class Wing:
    """A rectangle of a footprint in the building's frame: centre (p, q), half sides along p and q, metres."""

    p: float
    q: float
    half_p: float
    half_q: float


@dataclass(frozen=True)
class Building:
    """A building at ground point (x, y) in metres, its p axis at `angle` radians.

    `eaves` is their height in metres, `material` a key of `styles.ROOF_COLOURS`, `roof` "gable", "hip", "shed" or "flat", and
    `pitch` the height that a pitched roof gains per metre.
    """

    x: float
    y: float
    angle: float
    wings: tuple[Wing, ...]
    eaves: float
    material: str
    colour: Colour
    roof: str
    pitch: float

    @property
    def radius(self) -> float:
        """Distance of the farthest corner from the origin, metres."""
        return max(float(np.hypot(abs(w.p) + w.half_p, abs(w.q) + w.half_q)) for w in self.wings)


def draw_wings(length: float, width: float, rng: np.random.Generator) -> tuple[Wing, ...]:
    """A footprint of about length x width metres: a rectangle or, where there is room for wings, an L, T, U or step."""
    hl, hw = length / 2, width / 2
    shape = str(rng.choice(("box", "l", "t", "u", "step"), p=(0.48, 0.22, 0.10, 0.08, 0.12)))
    if min(length, width) < 6.5 or shape == "box":
        return (Wing(0, 0, hl, hw),)
    # The main wing lies along p; the others stand on it.
    main = hw * float(rng.uniform(0.45, 0.62))
    base = Wing(0, -hw + main, hl, main)
    arm = hl * float(rng.uniform(0.28, 0.42))
    side = float(rng.choice((-1.0, 1.0)))
    if shape == "l":
        return base, Wing(side * (hl - arm), 0, arm, hw)
    if shape == "t":
        return base, Wing(hl * float(rng.uniform(-0.3, 0.3)), 0, arm, hw)
    if shape == "u":
        return base, Wing(-hl + arm * 0.8, 0, arm * 0.8, hw), Wing(hl - arm * 0.8, 0, arm * 0.8, hw)
    return Wing(-hl * 0.35, 0, hl * 0.65, hw), Wing(hl * 0.45, side * hw * 0.18, hl * 0.55, hw * 0.8)


def _roof_heights(building: Building, p: FloatMap, q: FloatMap) -> tuple[BoolMap, FloatMap, FloatMap, FloatMap, FloatMap]:
    """Footprint, height above the eaves, its slopes along p and q, and the coordinate along the local ridge."""
    shape = np.broadcast_shapes(p.shape, q.shape)
    top = np.full(shape, -1, np.float32)
    slope_p, slope_q, ridge = (np.zeros(shape, np.float32) for _ in range(3))
    pitch = np.float32(building.pitch if building.roof != "flat" else 0)
    level = np.float32(0)
    sp: FloatMap | np.float32
    sq: FloatMap | np.float32
    for wing in building.wings:
        dp, dq = p - np.float32(wing.p), q - np.float32(wing.q)
        to_p, to_q = np.float32(wing.half_p) - np.abs(dp), np.float32(wing.half_q) - np.abs(dq)
        inside = (to_p > 0) & (to_q > 0)
        long_p = wing.half_p >= wing.half_q
        if building.roof == "shed":
            height = pitch * (dq + np.float32(wing.half_q))
            sp, sq = level, pitch
        elif building.roof == "hip":
            height = pitch * np.minimum(to_p, to_q)
            end = to_p < to_q
            sp, sq = np.where(end, -pitch * np.sign(dp), 0), np.where(end, 0, -pitch * np.sign(dq))
        else:
            height = pitch * (to_q if long_p else to_p)
            sp, sq = (level, -pitch * np.sign(dq)) if long_p else (-pitch * np.sign(dp), level)
        wins = inside & (height > top)
        top = np.where(wins, height, top)
        slope_p, slope_q = np.where(wins, sp, slope_p), np.where(wins, sq, slope_q)
        ridge = np.where(wins, dp if long_p else dq, ridge)
    return top >= 0, np.maximum(top, 0), slope_p.astype(np.float32), slope_q.astype(np.float32), ridge


def place(canvas: Canvas, building: Building, clearance: float = 0.0) -> bool:
    """Put a building on the canvas, or return False if something lies within `clearance` metres of its footprint."""
    window = canvas.window(building.x, building.y, building.radius + clearance + 0.5)
    p, q = canvas.local(window, building.x, building.y, building.angle)
    footprint, top, slope_p, slope_q, ridge = _roof_heights(building, p, q)
    if not footprint.any() or _blocked(canvas, window, building, p, q, clearance):
        return False
    across = np.where(np.abs(slope_p) > 0, p, q)
    colours = _surface(canvas, window, building, ridge, across, top)
    cosine, sine = np.float32(np.cos(building.angle)), np.float32(np.sin(building.angle))
    canvas.blend(window, footprint, colours)
    canvas.height[window] = np.where(footprint, np.float32(building.eaves) + top, canvas.height[window])
    canvas.slope[0][window][footprint] = (cosine * slope_p - sine * slope_q)[footprint]
    canvas.slope[1][window][footprint] = (sine * slope_p + cosine * slope_q)[footprint]
    canvas.truth["building"][window] |= footprint
    canvas.taken[window] |= footprint
    if building.roof == "flat":
        _furnish(canvas, window, building, footprint, p, q)
    return True


def _blocked(canvas: Canvas, window: Window, building: Building, p: FloatMap, q: FloatMap, clearance: float) -> bool:
    c = np.float32(clearance)
    needed = np.zeros(np.broadcast_shapes(p.shape, q.shape), dtype=bool)
    for wing in building.wings:
        needed |= (np.abs(p - np.float32(wing.p)) < np.float32(wing.half_p) + c) & (
            np.abs(q - np.float32(wing.q)) < np.float32(wing.half_q) + c
        )
    return bool((needed & canvas.taken[window]).any())


def _surface(canvas: Canvas, window: Window, building: Building, ridge: FloatMap, across: FloatMap, top: FloatMap) -> FloatMap:
    """Colours of the roof, float32 (3, h, w): courses of tiles, sheets of metal with rust, or stained concrete."""
    rng = canvas.rng
    grain, mottle = canvas.grain[window], canvas.mottle[window]
    stain = np.float32(rng.uniform(0.01, 0.05)) * mottle
    if building.material in ("tile", "slate"):
        courses = np.sin(np.float32(2 * np.pi / 0.75) * across)
        shade = 1 + np.float32(0.03) * courses + np.float32(0.045) * grain + stain
        colours = tinted(building.colour, shade)
    elif building.material in ("metal", "painted", "rust"):
        sheet_p, sheet_q = float(rng.uniform(0.8, 1.3)), float(rng.uniform(2.2, 3.6))
        table = rng.standard_normal((64, 16)).astype(np.float32)
        row, column = np.floor(ridge / sheet_p).astype(np.int32) % 64, np.floor(across / sheet_q).astype(np.int32) % 16
        sheets = table[row, column]
        ribs = np.sin(np.float32(2 * np.pi / float(rng.uniform(0.5, 1.0))) * ridge)
        uneven = {"metal": 0.03, "painted": 0.02, "rust": 0.09}[building.material] * float(rng.uniform(0.3, 1.5))
        shade = 1 + np.float32(uneven) * sheets + np.float32(0.025) * ribs + np.float32(0.02) * grain + stain
        colours = tinted(building.colour, shade)
        rusty = {"metal": 2.4, "painted": 2.6, "rust": 0.6}[building.material] - float(rng.uniform(0, 1.2))
        rust = np.clip((sheets + np.float32(0.8) * mottle + np.float32(0.3) * grain - np.float32(rusty)) * 2, 0, 0.8)
        colours += rust * (tinted(RUST_STAIN, np.ones_like(rust)) - colours)
    else:
        shade = 1 + np.float32(0.03) * grain + np.float32(rng.uniform(0.03, 0.09)) * mottle
        colours = tinted(building.colour, shade)
    if building.roof in ("gable", "hip"):
        # The cap of the ridge.
        cap = (top > top.max() - np.float32(building.pitch * 0.22)) & (top > 0.3)
        colours[:, cap] *= np.float32(rng.uniform(0.88, 1.14))
    return np.asarray(colours, np.float32)


def _furnish(canvas: Canvas, window: Window, building: Building, footprint: BoolMap, p: FloatMap, q: FloatMap) -> None:
    """Add a parapet, stairheads, tanks and machines to a flat roof; they belong to the building."""
    rng = canvas.rng
    wing = building.wings[0]
    if rng.random() < 0.8:
        thick, rise = float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.3, 1.0))
        inner = np.zeros_like(footprint)
        for each in building.wings:
            inner |= (np.abs(p - np.float32(each.p)) < np.float32(each.half_p - thick)) & (
                np.abs(q - np.float32(each.q)) < np.float32(each.half_q - thick)
            )
        parapet = footprint & ~inner
        canvas.blend(window, parapet * np.float32(0.7), mix(building.colour, (0.85, 0.83, 0.79), float(rng.uniform(0.2, 0.9))))
        canvas.height[window][parapet] += np.float32(rise)
    area = 4 * wing.half_p * wing.half_q
    for _ in range(int(rng.poisson(min(1.2 + area / 70, 9)))):
        small = rng.random() < 0.65
        half = rng.uniform(0.3, 0.8, 2) if small else rng.uniform(1.0, 2.0, 2)
        at_p = wing.p + float(rng.uniform(-1, 1)) * max(wing.half_p - half[0] - 0.4, 0)
        at_q = wing.q + float(rng.uniform(-1, 1)) * max(wing.half_q - half[1] - 0.4, 0)
        if half[0] > 0.6 * wing.half_p or half[1] > 0.6 * wing.half_q:
            continue
        box = (np.abs(p - np.float32(at_p)) < np.float32(half[0])) & (np.abs(q - np.float32(at_q)) < np.float32(half[1]))
        box &= footprint
        colour = pick((building.colour, *ROOF_CLUTTER), 0.08, rng)
        canvas.blend(window, box * np.float32(0.9), colour)
        canvas.height[window][box] += np.float32(rng.uniform(0.5, 1.2) if small else rng.uniform(1.5, 2.6))
