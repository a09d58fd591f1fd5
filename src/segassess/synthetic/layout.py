"""The plan of a scene: a street grid, cut recursively into blocks and parcels.

Plans are straight in street coordinates (u, v), in metres; `Frame` bends and turns them onto the ground.
"""

from dataclasses import dataclass

import numpy as np

from segassess.synthetic.canvas import Canvas, FloatMap, Window


@dataclass(frozen=True)
class Frame:
    """Map between ground (x, y) and street coordinates (u, v), all in metres.

    `centre` is the ground point of the street origin, `angle` the direction of the u axis in radians; u and v lines are bent by
    a sine of amplitude `bend`, `wavelength` (metres) and `phase` (radians).
    """

    centre: tuple[float, float]
    angle: float
    bend: tuple[float, float]
    wavelength: tuple[float, float]
    phase: tuple[float, float]

    @classmethod
    def draw(cls, extent: tuple[float, float], bending: float, rng: np.random.Generator) -> "Frame":
        """A random frame for ground of (height, width) metres; `bending` is the largest slope of a road to its axis."""
        wavelength = (float(rng.uniform(70, 260)), float(rng.uniform(70, 260)))
        slope = rng.uniform(0, bending, 2)
        bend = (float(slope[0] * wavelength[0] / (2 * np.pi)), float(slope[1] * wavelength[1] / (2 * np.pi)))
        phase = (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi)))
        centre = (float(extent[1] * rng.uniform(0.3, 0.7)), float(extent[0] * rng.uniform(0.3, 0.7)))
        return cls(centre, float(rng.uniform(0, np.pi)), bend, wavelength, phase)

    def street(self, x: FloatMap, y: FloatMap) -> tuple[FloatMap, FloatMap]:
        """Street coordinates of ground points; the arrays broadcast."""
        cosine, sine = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        dx, dy = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
        along, across = cosine * dx + sine * dy, cosine * dy - sine * dx
        waves = [np.float32(2 * np.pi / length) for length in self.wavelength]
        u = along + np.float32(self.bend[0]) * np.sin(waves[0] * across + np.float32(self.phase[0]))
        v = across + np.float32(self.bend[1]) * np.sin(waves[1] * along + np.float32(self.phase[1]))
        return u, v

    def ground(self, u: float, v: float) -> tuple[float, float]:
        """Ground point of street coordinates, by fixed-point iteration, which converges because slopes are far below 1."""
        along, across = u, v
        for _ in range(6):
            along, across = (
                u - self.bend[0] * np.sin(2 * np.pi / self.wavelength[0] * across + self.phase[0]),
                v - self.bend[1] * np.sin(2 * np.pi / self.wavelength[1] * along + self.phase[1]),
            )
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return float(self.centre[0] + cosine * along - sine * across), float(self.centre[1] + sine * along + cosine * across)

    def heading(self, u: float, v: float) -> float:
        """Direction of the u axis on the ground at a street point, radians."""
        (x0, y0), (x1, y1) = self.ground(u - 1, v), self.ground(u + 1, v)
        return float(np.arctan2(y1 - y0, x1 - x0))


@dataclass(frozen=True)
class Parcel:
    """Land between u0..u1 and v0..v1, in street metres."""

    u0: float
    v0: float
    u1: float
    v1: float

    @property
    def sides(self) -> tuple[float, float]:
        """Lengths along u and v, metres."""
        return self.u1 - self.u0, self.v1 - self.v0

    @property
    def middle(self) -> tuple[float, float]:
        """Street coordinates of the centre."""
        return (self.u0 + self.u1) / 2, (self.v0 + self.v1) / 2

    def shrunk(self, margin: float) -> "Parcel":
        """The parcel without a margin; one narrower than two margins shrinks to its middle line."""
        margin_u, margin_v = (min(margin, side / 2) for side in self.sides)
        return Parcel(self.u0 + margin_u, self.v0 + margin_v, self.u1 - margin_u, self.v1 - margin_v)

    def any_point(self, rng: np.random.Generator) -> tuple[float, float]:
        """Random street coordinates inside."""
        return float(rng.uniform(self.u0, self.u1)), float(rng.uniform(self.v0, self.v1))


@dataclass(frozen=True)
class Strip:
    """A road along u = at (axis 0) or v = at (axis 1) from lo to hi; level 0 was cut first."""

    axis: int
    at: float
    lo: float
    hi: float
    width: float
    level: int


def divide(
    land: Parcel, smallest: float, largest: float, widths: tuple[float, ...], verge: float, rng: np.random.Generator
) -> tuple[list[Parcel], list[Strip]]:
    """Cut land recursively across its longer side, with a road along each cut; returns the pieces, and the roads by level.

    Pieces longer than `largest` are always cut, and none gets shorter than `smallest`. `widths` are those of roads by
    level (the last one also for deeper levels), `verge` the land kept free on both sides. All are in metres.
    """
    pieces: list[Parcel] = []
    strips: list[Strip] = []
    queue = [(land, 0)]
    while queue:
        piece, level = queue.pop(0)
        sides = piece.sides
        axis = int(sides[1] > sides[0] * rng.uniform(0.8, 1.25))
        width = widths[min(level, len(widths) - 1)] * float(rng.uniform(0.85, 1.15))
        gap = width + 2 * verge * (width > 0)
        room = sides[axis] - gap
        if room < 2 * smallest or (sides[axis] <= largest and rng.random() < 0.35):
            pieces.append(piece)
            continue
        near = max(smallest, room * float(rng.uniform(0.3, 0.7)))
        near = min(near, room - smallest)
        if axis == 0:
            at = piece.u0 + near + gap / 2
            parts = Parcel(piece.u0, piece.v0, at - gap / 2, piece.v1), Parcel(at + gap / 2, piece.v0, piece.u1, piece.v1)
            span = piece.v0, piece.v1
        else:
            at = piece.v0 + near + gap / 2
            parts = Parcel(piece.u0, piece.v0, piece.u1, at - gap / 2), Parcel(piece.u0, at + gap / 2, piece.u1, piece.v1)
            span = piece.u0, piece.u1
        if width > 0:
            # Reaches into the road it branches off, which is at least about as wide.
            reach = verge + width / 2
            strips.append(Strip(axis, at, span[0] - reach, span[1] + reach, width, level))
        queue += [(part, level + 1) for part in parts]
    return pieces, strips


def parcel_pixels(canvas: Canvas, frame: Frame, parcel: Parcel, ragged: float) -> tuple[Window, FloatMap, FloatMap, FloatMap]:
    """Window of a parcel, its weight in [0, 1] and its street coordinates u and v there, all float32 (h, w).

    The border is soft and wanders by `ragged` metres.
    """
    corners = [frame.ground(u, v) for u in (parcel.u0, parcel.u1) for v in (parcel.v0, parcel.v1)]
    xs, ys = zip(*corners, strict=True)
    middle = frame.ground(*parcel.middle)
    radius = max(max(xs) - min(xs), max(ys) - min(ys)) / 2 + 3
    window = canvas.window(middle[0], middle[1], radius)
    u, v = frame.street(*canvas.coordinates(window))
    inward = np.minimum(np.minimum(u - parcel.u0, parcel.u1 - u), np.minimum(v - parcel.v0, parcel.v1 - v))
    inward += np.float32(ragged) * (canvas.mottle[window] * np.float32(0.6) + canvas.grain[window] * np.float32(0.5))
    softness = np.float32(max(0.15, ragged))
    return window, np.clip(inward / softness + np.float32(0.5), 0, 1), u, v
