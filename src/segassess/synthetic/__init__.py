"""Synthetic aerial scenes with exact truth, deterministic by seed.

Truth lies under trees: a roof is a roof even where a crown covers it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segassess.errors import ConfigError
from segassess.synthetic import scenery, sensor
from segassess.synthetic.canvas import OBJECTS, SUPERSAMPLING, Canvas
from segassess.synthetic.light import Sun, illuminate
from segassess.synthetic.styles import draw_palette, draw_style

__all__ = ["OBJECTS", "Scene", "make_scene"]


@dataclass(frozen=True)
class Scene:
    """An image, uint8 (H, W, 3) RGB, and its truth, bool (H, W) per object of `OBJECTS`; `kind` is a landscape of `styles`.

    `gsd` is in metres per pixel.
    """

    image: NDArray[np.uint8]
    truth: dict[str, NDArray[np.bool_]]
    kind: str
    gsd: float


def make_scene(seed: int, size: int | tuple[int, int] = 256, gsd: float = 0.3) -> Scene:
    """Make a scene of `size` (height, width) pixels and `gsd` (0.05 to 2) metres per pixel; each `seed` >= 0 is another place.

    Raises:
        ConfigError: if an argument is out of range.
    """
    height, width = size if isinstance(size, tuple) else (size, size)
    if height < 1 or width < 1:
        raise ConfigError(f"make_scene got size={size}: give a height and width of at least 1 pixel.")
    if not 0.05 <= gsd <= 2:
        raise ConfigError(f"make_scene got gsd={gsd}: give a ground sampling distance of 0.05 to 2 metres per pixel.")
    if seed < 0:
        raise ConfigError(f"make_scene got seed={seed}: give a seed of 0 or more.")
    rng = np.random.default_rng([seed, 0x5CE4E])
    style, palette, sun = draw_style(rng), draw_palette(rng), Sun.draw(rng)
    albedo = np.zeros((3, height * SUPERSAMPLING, width * SUPERSAMPLING), np.float32)
    canvas = Canvas(albedo, SUPERSAMPLING / gsd, rng)
    scenery.compose(canvas, style, palette)
    image = sensor.expose(illuminate(canvas, sun), rng)
    truth: dict[str, NDArray[np.bool_]] = {}
    free = np.ones((height, width), dtype=bool)
    for name in OBJECTS:
        # Two objects may share a pixel half and half; the earlier name gets it.
        truth[name] = sensor.downsample_truth(canvas.truth[name]) & free
        free &= ~truth[name]
    return Scene(image, truth, style.kind, gsd)
