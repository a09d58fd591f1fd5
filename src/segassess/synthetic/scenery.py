"""Which parcel gets which use, and the order of painting."""

import numpy as np

from segassess.synthetic import clutter, roads, terrain
from segassess.synthetic.buildings import STOREY_M, Building, draw_wings, place
from segassess.synthetic.canvas import Canvas, Colour, jitter, mix, pick
from segassess.synthetic.layout import Frame, Parcel, divide
from segassess.synthetic.styles import ROOF_COLOURS, Palette, Style
from segassess.synthetic.vegetation import plant_tree

FLAT_MATERIALS = ("concrete", "white", "tar")
# Mean number per built parcel.
SHEDS = {"farmland": 0.8, "village": 0.5, "suburb": 0.4, "town": 0.9, "industry": 1.0}
LEAN_TOS = {"farmland": 0.3, "village": 0.4, "suburb": 0.15, "town": 0.8, "industry": 0.4}
DEBRIS = {"farmland": 1.0, "village": 1.5, "suburb": 0.8, "town": 4.0, "industry": 6.0}
TRAFFIC_PER_100_M = {"farmland": 0.5, "village": 0.7, "suburb": 3.0, "town": 4.0, "industry": 3.0}
SCRUB = {"farmland": 0.35, "village": 0.65, "suburb": 0.25, "town": 0.4, "industry": 0.3}


def compose(canvas: Canvas, style: Style, palette: Palette) -> None:
    """Paint a landscape and its truth onto an empty canvas."""
    rng = canvas.rng
    frame = Frame.draw(canvas.extent, style.bending, rng)
    reach = float(np.hypot(*canvas.extent)) * 0.75 + 20
    blocks, strips = divide(Parcel(-reach, -reach, reach, reach), *style.block, style.road_widths, style.verge, rng)
    terrain.paint_ground(canvas, palette, style.greenness)
    parcels = [parcel for block in blocks for parcel in divide(block, *style.parcel, (0.0,), 0.0, rng)[0]]
    parcels = [parcel for parcel in parcels if _visible(canvas, frame, parcel)]
    names, shares = list(style.uses), np.array(list(style.uses.values()))
    uses = [names[int(rng.choice(len(names), p=shares / shares.sum()))] for _ in parcels]
    for parcel, use in zip(parcels, uses, strict=True):
        _cover(canvas, frame, parcel, use, style, palette)
    if rng.random() < style.water:
        (terrain.paint_river if rng.random() < 0.55 else terrain.paint_pond)(canvas, palette)
    if style.kind in ("village", "farmland"):
        _footpaths(canvas, palette)
    roads.paint_roads(canvas, frame, strips, palette, style.paved_levels, style.verge)
    habits = _Habits(style, palette, rng)
    for parcel, use in zip(parcels, uses, strict=True):
        _build(canvas, frame, parcel, use, style, palette, habits)
    clutter.put_traffic(canvas, frame, strips, TRAFFIC_PER_100_M[style.kind])
    palms = float(rng.choice((0.0, 0.25))) if style.kind in ("village", "town") else 0.0
    for parcel, use in zip(parcels, uses, strict=True):
        _vegetate(canvas, frame, parcel, use, style, palette, palms)
    terrain.grow_scrub(canvas, palette, SCRUB[style.kind] * float(rng.uniform(0.4, 1.4)))


def _visible(canvas: Canvas, frame: Frame, parcel: Parcel) -> bool:
    """Whether a parcel reaches into the picture, or nearly."""
    x, y = frame.ground(*parcel.middle)
    radius = float(np.hypot(*parcel.sides)) / 2 + 4
    height, width = canvas.extent
    return -radius < x < width + radius and -radius < y < height + radius


def _footpaths(canvas: Canvas, palette: Palette) -> None:
    height, width = canvas.extent
    for _ in range(int(canvas.rng.poisson(1.2))):
        start, end = canvas.rng.uniform(-0.1, 1.1, (2, 2)) * (width, height)
        roads.paint_footpath(canvas, start, end, palette)


def _cover(canvas: Canvas, frame: Frame, parcel: Parcel, use: str, style: Style, palette: Palette) -> None:
    rng = canvas.rng
    if use == "field":
        terrain.paint_field(canvas, frame, parcel.shrunk(float(rng.uniform(0.2, 1.2))), palette)
    elif use == "parking":
        clutter.put_parking(canvas, frame, parcel.shrunk(1.0), palette)
    elif use == "yard" or use == "hall":
        colour = jitter(mix(palette.paving, palette.soil, float(rng.uniform(0, 1))), 0.06, rng)
        terrain.paint_cover(canvas, frame, parcel.shrunk(0.6), colour, opacity=float(rng.uniform(0.6, 1)), ragged=0.3)
    elif use == "wood":
        terrain.paint_cover(canvas, frame, parcel, mix(palette.leaves[0], palette.soil, 0.25), opacity=0.7, ragged=1.5)
    elif use == "house":
        green = rng.random() < style.greenness
        colour = jitter(palette.grass if green else mix(palette.soil, palette.paving, float(rng.uniform(0, 0.8))), 0.07, rng)
        neat = style.kind in ("suburb", "town")
        opacity = float(rng.uniform(0.5, 1.0)) if neat else float(rng.uniform(0.1, 0.7))
        terrain.paint_cover(canvas, frame, parcel.shrunk(0.2), colour, opacity=opacity, ragged=0.15 if neat else 1.2)
    elif rng.random() < 0.5:
        terrain.paint_cover(canvas, frame, parcel, jitter(palette.grass, 0.08, rng), opacity=0.6, ragged=1.0)


class _Habits:
    """What the buildings of one place share: a few roof colours, pitch, one or two materials."""

    def __init__(self, style: Style, palette: Palette, rng: np.random.Generator) -> None:
        self.style, self.palette, self.rng = style, palette, rng
        names, weights = list(style.roofs), np.array(list(style.roofs.values()), float)
        # A place favours some materials: without this every scene would be the same mixture.
        weights *= rng.gamma(0.8, 1.0, len(names)) + 0.03
        self.names, self.weights = names, weights / weights.sum()
        self.colours = {name: tuple(jitter(colour, 0.05, rng) for colour in ROOF_COLOURS[name]) for name in names}
        self.pitch = float(rng.uniform(0.35, 0.75))
        self.hip = float(rng.uniform(0, 0.8))

    def building(self, x: float, y: float, angle: float, size: tuple[float, float], *, shed: bool = False) -> Building:
        """A building of about `length` x `width` metres; a shed is low and often of another material."""
        style, palette, rng = self.style, self.palette, self.rng
        material = self.names[int(rng.choice(len(self.names), p=self.weights))]
        colour = pick(self.colours[material], 0.05, rng)
        if shed and rng.random() < 0.5:
            material = str(rng.choice(("rust", "metal")))
            colour = jitter(ROOF_COLOURS[material][int(rng.integers(3))], 0.08, rng)
        if rng.random() < 0.12:
            colour = mix(colour, palette.soil if rng.random() < 0.6 else palette.paving, 0.8)
        pitched = material not in FLAT_MATERIALS and rng.random() < max(style.pitched, 0.85)
        roof = "flat"
        if pitched:
            roof = "hip" if rng.random() < self.hip else ("shed" if min(size) < 5 or rng.random() < 0.12 else "gable")
        storeys = 0.8 if shed else float(rng.integers(style.storeys[0], style.storeys[1] + 1))
        steep = {"tile": 1.0, "slate": 1.1}.get(material, 0.55) * (0.35 if max(size) > 28 else 1.0)
        wings = draw_wings(max(size), min(size), rng)
        turn = 0.0 if size[0] >= size[1] else np.pi / 2
        return Building(
            x, y, angle + turn + float(rng.normal(0, style.turn)), wings, storeys * STOREY_M * float(rng.uniform(0.9, 1.15)),
            material, colour, roof, self.pitch * steep * (0.5 if roof == "shed" else 1.0),
        )  # fmt: skip


def _build(canvas: Canvas, frame: Frame, parcel: Parcel, use: str, style: Style, palette: Palette, habits: _Habits) -> None:
    rng = canvas.rng
    if use in ("house", "hall"):
        _build_main(canvas, frame, parcel, use, style, palette, habits)
        for _ in range(int(rng.poisson(SHEDS[style.kind]))):
            u, v = parcel.shrunk(2.0).any_point(rng)
            x, y = frame.ground(u, v)
            dims = (float(rng.uniform(2.4, 5.5)), float(rng.uniform(2.0, 3.6)))
            place(canvas, habits.building(x, y, frame.heading(u, v), dims, shed=True), 0.15)
    if use == "house" and style.kind == "suburb" and rng.random() < 0.15:
        clutter.put_pool(canvas, frame, parcel)
    if rng.random() < style.fenced:
        clutter.put_border(canvas, frame, parcel, palette)
    if use in ("house", "yard", "hall"):
        clutter.put_debris(canvas, frame, parcel, int(rng.poisson(DEBRIS[style.kind])))
        if style.kind != "village" and rng.random() < 0.3:
            u, v = parcel.shrunk(1.5).any_point(rng)
            clutter.put_car(canvas, *frame.ground(u, v), frame.heading(u, v) + float(rng.choice((0, np.pi / 2))))


def _build_main(canvas: Canvas, frame: Frame, parcel: Parcel, use: str, style: Style, palette: Palette, habits: _Habits) -> None:
    """The main building of a parcel, with lean-tos, trodden ground and drive."""
    rng = canvas.rng
    largest = {"house": 18.0 if style.kind != "town" else 22.0, "hall": 62.0}[use]
    margin = rng.uniform(*style.setback, 2)
    room = np.maximum(np.array(parcel.sides) - 2 * margin, 0)
    size = np.minimum(room * rng.uniform(0.66 if style.kind != "town" else 0.88, 1.0, 2), largest)
    # Houses are rarely three times as long as wide; the rest of the parcel stays garden.
    size = np.minimum(size, 2.3 * size.min())
    if size.min() < 3.5:
        return
    slack = np.maximum(room - size, 0) / 2
    u, v = (float(value) for value in np.array(parcel.middle) + rng.uniform(-1, 1, 2) * slack)
    x, y = frame.ground(u, v)
    building = habits.building(x, y, frame.heading(u, v), (float(size[0]), float(size[1])))
    bare = mix(palette.soil, (0.80, 0.74, 0.64), float(rng.uniform(0, 0.4)))
    if style.kind == "village":
        terrain.wear_ground(canvas, x, y, 0.55 * float(size.max()) + float(rng.uniform(1, 4)), bare, float(rng.uniform(0.3, 0.9)))
    elif style.kind == "suburb" and rng.random() < 0.9:
        _drive(canvas, frame, parcel, (u, v), jitter(palette.paving if rng.random() < 0.7 else palette.asphalt, 0.06, rng))
    if not place(canvas, building, 0.05):
        return
    for _ in range(int(rng.poisson(LEAN_TOS[style.kind]))):
        # A lean-to stands against one long side of the main wing.
        half = (float(rng.uniform(1.2, 0.8 * building.wings[0].half_p + 0.5)), float(rng.uniform(0.9, 2.0)))
        side = float(rng.choice((-1.0, 1.0)))
        p = float(rng.uniform(-0.6, 0.6)) * building.wings[0].half_p
        q = side * (max(abs(w.q) + w.half_q for w in building.wings) + half[1] + 0.1)
        cosine, sine = np.cos(building.angle), np.sin(building.angle)
        at = float(x + cosine * p - sine * q), float(y + sine * p + cosine * q)
        dims = (2 * half[0], 2 * half[1]) if half[0] >= half[1] else (2 * half[1], 2 * half[0])
        place(canvas, habits.building(*at, building.angle, dims, shed=True), 0.0)


def _drive(canvas: Canvas, frame: Frame, parcel: Parcel, house: tuple[float, float], colour: Colour) -> None:
    """A paved drive from a house to the road side of its parcel, and often a paved terrace."""
    rng = canvas.rng
    u, v = house
    half = float(rng.uniform(1.3, 2.6))
    reach = 3.5
    ends = ((parcel.u0 - reach, v), (parcel.u1 + reach, v), (u, parcel.v0 - reach), (u, parcel.v1 + reach))
    for index in rng.permutation(4):
        x, y = frame.ground(*ends[index])
        pixel = canvas.pixel(x, y)
        if pixel is not None and canvas.taken[pixel]:
            end_u, end_v = ends[index]
            drive = Parcel(min(u, end_u) - half * (index > 1), min(v, end_v) - half * (index < 2),
                           max(u, end_u) + half * (index > 1), max(v, end_v) + half * (index < 2))  # fmt: skip
            terrain.paint_cover(canvas, frame, drive, colour, ragged=0.0, sealed=True)
            if rng.random() < 0.5:
                spot = frame.ground((u + end_u) / 2, (v + end_v) / 2)
                clutter.put_car(canvas, *spot, frame.heading(u, v) + np.pi / 2 * (index > 1))
            break
    if rng.random() < 0.4:
        du, dv = rng.uniform(-5, 5, 2)
        terrace = Parcel(u + float(du) - 3, v + float(dv) - 3, u + float(du) + 3, v + float(dv) + 3)
        terrain.paint_cover(canvas, frame, terrace, jitter(colour, 0.08, rng), ragged=0.0, sealed=True)


def _vegetate(canvas: Canvas, frame: Frame, parcel: Parcel, use: str, style: Style, palette: Palette, palms: float) -> None:
    rng = canvas.rng
    area = parcel.sides[0] * parcel.sides[1]
    density = style.trees * {"house": 1.0, "meadow": 1.2, "wood": 0.0, "field": 0.05, "yard": 0.3}.get(use, 0.3)
    number = int(rng.poisson(density * area / 100))
    if use == "wood":
        number = int(min(area / 9, 400) * rng.uniform(0.5, 1.0))
    point = parcel.any_point(rng)
    for _ in range(number):
        # A third of the plants stand next to the one before: clusters, not a lattice.
        if use == "wood" or rng.random() < 0.65:
            point = parcel.any_point(rng)
        else:
            point = point[0] + float(rng.normal(0, 2.0)), point[1] + float(rng.normal(0, 2.0))
        x, y = frame.ground(*point)
        plant_tree(canvas, x, y, palette.leaves, palms=palms, size=1.25 if use == "wood" else 1.0)
