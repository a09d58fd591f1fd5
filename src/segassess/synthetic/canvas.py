"""The unlit canvas of a scene: colour, height and slope of all that lies on the ground.

It is `SUPERSAMPLING` times finer than the image, so edges are anti-aliased and truth is exact to a quarter of a pixel.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segassess.synthetic.noise import octaves

BoolMap: TypeAlias = NDArray[np.bool_]
FloatMap: TypeAlias = NDArray[np.float32]
Colour: TypeAlias = tuple[float, float, float]
Window: TypeAlias = tuple[slice, slice]

SUPERSAMPLING = 2
OBJECTS = ("building", "road", "water")


class Canvas:
    """Buffers (H, W) of one scene in canvas pixels, `per_metre` of them to a metre; planes of colour come first, for speed.

    `albedo` is RGB reflectance in [0, 1], `slope` (2, H, W) the height gained per metre along x and y. `height` and `crown`
    (the surface of the vegetation, 0 where there is none) are metres above the ground. No building may stand where `taken`;
    nothing grows where `sealed`. `grain` and `mottle` are fine and metre-sized noise of unit variance that all painters share.
    """

    def __init__(self, albedo: NDArray[np.float32], per_metre: float, rng: np.random.Generator) -> None:
        self.albedo, self.per_metre, self.rng = albedo, per_metre, rng
        shape = self.shape
        self.height: FloatMap = np.zeros(shape, np.float32)
        self.slope: FloatMap = np.zeros((2, *shape), np.float32)
        self.crown: FloatMap = np.zeros(shape, np.float32)
        self.crown_albedo: FloatMap = np.zeros((3, *shape), np.float32)
        self.truth: dict[str, BoolMap] = {name: np.zeros(shape, dtype=bool) for name in OBJECTS}
        self.taken: BoolMap = np.zeros(shape, dtype=bool)
        self.sealed: BoolMap = np.zeros(shape, dtype=bool)
        metre = per_metre
        self.grain = octaves(shape, (0.25 * metre, 0.6 * metre, 1.4 * metre), (1.0, 0.9, 0.7), rng)
        self.mottle = octaves(shape, (2.5 * metre, 6 * metre, 15 * metre), (0.7, 1.0, 1.0), rng)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in canvas pixels."""
        return self.albedo.shape[1], self.albedo.shape[2]

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width of the ground in metres."""
        return self.shape[0] / self.per_metre, self.shape[1] / self.per_metre

    @property
    def whole(self) -> Window:
        """The window of all pixels."""
        return slice(0, self.shape[0]), slice(0, self.shape[1])

    def window(self, x: float, y: float, radius: float) -> Window:
        """Rows and columns within `radius` metres of the point (x, y) in metres, clipped to the canvas; may be empty."""
        height, width = self.shape
        top, left = int((y - radius) * self.per_metre), int((x - radius) * self.per_metre)
        side = int(2 * radius * self.per_metre) + 2
        return (
            slice(min(max(top, 0), height), min(max(top + side, 0), height)),
            slice(min(max(left, 0), width), min(max(left + side, 0), width)),
        )

    def pixel(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column of the point (x, y) in metres; None outside the canvas."""
        row, column = int(y * self.per_metre), int(x * self.per_metre)
        return (row, column) if 0 <= row < self.shape[0] and 0 <= column < self.shape[1] else None

    def coordinates(self, window: Window) -> tuple[FloatMap, FloatMap]:
        """Ground coordinates of a window's pixel centres in metres: x float32 (1, w), y float32 (h, 1)."""
        rows, columns = window
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(0.5)) / np.float32(self.per_metre)
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5)) / np.float32(self.per_metre)
        return x[None, :], y[:, None]

    def blend(self, window: Window, alpha: FloatMap | BoolMap, colour: Colour | NDArray[np.float32]) -> None:
        """Mix one colour, or colours (3, h, w), into a window's albedo with weight `alpha` (h, w) in [0, 1]."""
        weight = alpha.astype(np.float32, copy=False)
        for plane, channel in zip(self.albedo, np.asarray(colour, np.float32), strict=True):
            below = plane[window]
            below += weight * (channel - below)

    def local(self, window: Window, x: float, y: float, angle: float) -> tuple[FloatMap, FloatMap]:
        """Coordinates (p along, q across) of a window's pixels in a frame at (x, y) metres, turned by `angle` radians."""
        grid_x, grid_y = self.coordinates(window)
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = grid_x - np.float32(x), grid_y - np.float32(y)
        return cosine * dx + sine * dy, cosine * dy - sine * dx


def tinted(colour: Colour, shade: FloatMap) -> NDArray[np.float32]:
    """A colour in varying brightness: shade float32 (h, w) -> float32 (3, h, w)."""
    return np.asarray(colour, np.float32)[:, None, None] * shade


def jitter(colour: Colour, amount: float, rng: np.random.Generator) -> Colour:
    """Vary brightness by about `amount`, and hue by a fifth of it."""
    varied = np.asarray(colour) * (1 + amount * rng.standard_normal()) * (1 + amount / 5 * rng.standard_normal(3))
    red, green, blue = np.clip(varied, 0.02, 0.98)
    return float(red), float(green), float(blue)


def pick(colours: Sequence[Colour], amount: float, rng: np.random.Generator) -> Colour:
    """One of several colours, varied as `jitter` does."""
    return jitter(colours[int(rng.integers(len(colours)))], amount, rng)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` of the way from the first to the second."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return red, green, blue
