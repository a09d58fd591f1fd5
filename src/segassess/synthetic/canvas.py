"""The canvas of a synthetic scene: what lies on the ground, how high it is and which way it slopes, before any light.

Painters (terrain, roads, buildings, vegetation) write colour, height and slope; `light.illuminate` turns them into radiance with
shading and shadows that agree with each other. The canvas is `SUPERSAMPLING` times finer than the image, so that edges come
out anti-aliased and the truth is exact to a quarter of a pixel's area.
"""

from dataclasses import dataclass, field
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


@dataclass
class Canvas:
    """Buffers of one scene, all with the same height and width in canvas pixels.

    Attributes:
        albedo: float32 (3, H, W), RGB reflectance in [0, 1]; planes come first, because numpy is several times faster so.
        height: float32 (H, W), metres above the ground.
        slope: float32 (2, H, W), height gained per metre along x and y; set by whoever knows the surface.
        crown: float32 (H, W), height of the vegetation's surface, 0 where there is none.
        crown_albedo: float32 (3, H, W), its colour.
        truth: bool (H, W) per object of `OBJECTS`.
        taken: bool (H, W), where no building may stand.
        sealed: bool (H, W), paved ground on which nothing grows.
        per_metre: canvas pixels per metre.
        rng: the scene's source of randomness.
        grain: float32 (H, W), fine texture of unit variance, reused by all painters because fresh noise is dear.
        mottle: float32 (H, W), the same for texture of a few metres.
    """

    albedo: NDArray[np.float32]
    per_metre: float
    rng: np.random.Generator
    height: FloatMap = field(init=False)
    slope: NDArray[np.float32] = field(init=False)
    crown: FloatMap = field(init=False)
    crown_albedo: NDArray[np.float32] = field(init=False)
    truth: dict[str, BoolMap] = field(init=False)
    taken: BoolMap = field(init=False)
    sealed: BoolMap = field(init=False)
    grain: FloatMap = field(init=False)
    mottle: FloatMap = field(init=False)

    def __post_init__(self) -> None:
        """Allocate the buffers that start empty and draw the shared textures."""
        shape = self.shape
        self.height = np.zeros(shape, np.float32)
        self.slope = np.zeros((2, *shape), np.float32)
        self.crown = np.zeros(shape, np.float32)
        self.crown_albedo = np.zeros((3, *shape), np.float32)
        self.truth = {name: np.zeros(shape, dtype=bool) for name in OBJECTS}
        self.taken = np.zeros(shape, dtype=bool)
        self.sealed = np.zeros(shape, dtype=bool)
        metre = self.per_metre
        self.grain = octaves(shape, (0.25 * metre, 0.6 * metre, 1.4 * metre), (1.0, 0.9, 0.7), self.rng)
        self.mottle = octaves(shape, (2.5 * metre, 6 * metre, 15 * metre), (0.7, 1.0, 1.0), self.rng)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in canvas pixels."""
        return self.albedo.shape[1], self.albedo.shape[2]

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width of the ground in metres."""
        return self.shape[0] / self.per_metre, self.shape[1] / self.per_metre

    def window(self, x: float, y: float, radius: float) -> Window:
        """Rows and columns within `radius` metres of the point (x, y) in metres, clipped to the canvas; may be empty."""
        height, width = self.shape
        top, left = int((y - radius) * self.per_metre), int((x - radius) * self.per_metre)
        side = int(2 * radius * self.per_metre) + 2
        return (
            slice(min(max(top, 0), height), min(max(top + side, 0), height)),
            slice(min(max(left, 0), width), min(max(left + side, 0), width)),
        )

    def coordinates(self, window: Window) -> tuple[FloatMap, FloatMap]:
        """Ground coordinates of a window's pixel centres in metres: x as float32 (1, w), y as float32 (h, 1)."""
        rows, columns = window
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(0.5)) / np.float32(self.per_metre)
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5)) / np.float32(self.per_metre)
        return x[None, :], y[:, None]

    def blend(self, window: Window, alpha: FloatMap | BoolMap, colour: Colour | NDArray[np.float32]) -> None:
        """Mix a colour, or colours float32 (3, h, w), into the albedo of a window with weight `alpha` (h, w) in [0, 1]."""
        weight = alpha.astype(np.float32, copy=False)
        for plane, channel in zip(self.albedo, np.asarray(colour, np.float32), strict=True):
            below = plane[window]
            below += weight * (channel - below)

    def local(self, window: Window, x: float, y: float, angle: float) -> tuple[FloatMap, FloatMap]:
        """Coordinates of a window's pixels in a frame centred on (x, y) and turned by `angle` radians: p along, q across."""
        grid_x, grid_y = self.coordinates(window)
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = grid_x - np.float32(x), grid_y - np.float32(y)
        return cosine * dx + sine * dy, cosine * dy - sine * dx


def tinted(colour: Colour, shade: FloatMap) -> NDArray[np.float32]:
    """One colour in varying brightness: shade float32 (h, w) -> float32 (3, h, w)."""
    return np.asarray(colour, np.float32)[:, None, None] * shade


def jitter(colour: Colour, amount: float, rng: np.random.Generator) -> Colour:
    """The colour with its brightness (mostly) and hue (a fifth as much) varied by about `amount`."""
    varied = np.asarray(colour) * (1 + amount * rng.standard_normal()) * (1 + amount / 5 * rng.standard_normal(3))
    red, green, blue = np.clip(varied, 0.02, 0.98)
    return float(red), float(green), float(blue)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that is `share` of the way from the first to the second."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return red, green, blue
