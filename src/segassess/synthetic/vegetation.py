"""Trees, palms, bushes and hedges as crowns whose surface light and shadow follow."""

from functools import lru_cache

import cv2
import numpy as np

from segassess.synthetic.canvas import Canvas, Colour, FloatMap, pick

PATCH_PX = 72
PATCHES = 20
PALM_PATCHES = 6
_AXIS = np.linspace(-1.05, 1.05, PATCH_PX, dtype=np.float32)


@lru_cache(maxsize=1)
def crown_patches() -> tuple[tuple[FloatMap, ...], tuple[FloatMap, ...]]:
    """Broadleaf and palm crowns as heights in [0, 1], float32 (72, 72), 0 outside; the same in every process."""
    rng = np.random.default_rng(20_240_501)
    return tuple(_crown(rng) for _ in range(PATCHES)), tuple(_palm(rng) for _ in range(PALM_PATCHES))


def _crown(rng: np.random.Generator) -> FloatMap:
    """Overlapping clumps of leaves on a dome."""
    x, y = _AXIS[None, :], _AXIS[:, None]
    surface = np.zeros((PATCH_PX, PATCH_PX), np.float32)
    number = int(rng.integers(35, 90))
    lobes, phase = int(rng.integers(2, 6)), float(rng.uniform(0, 6.28))
    for _ in range(number):
        angle = float(rng.uniform(0, 2 * np.pi))
        limit = 0.82 + 0.14 * np.sin(lobes * angle + phase)
        distance = limit * float(np.sqrt(rng.uniform(0, 1)))
        radius = float(rng.uniform(0.10, 0.26)) * (1.1 - 0.4 * distance)
        cx, cy = distance * np.cos(angle) * 0.88, distance * np.sin(angle) * 0.88
        bump = np.maximum(radius**2 - (x - np.float32(cx)) ** 2 - (y - np.float32(cy)) ** 2, 0)
        base = 0.30 + 0.45 * np.sqrt(max(0.0, 1 - distance**2)) + float(rng.uniform(-0.06, 0.06))
        surface = np.maximum(surface, np.where(bump > 0, np.float32(base) + np.sqrt(bump), 0))
    return np.asarray(surface / surface.max(), np.float32)


def _palm(rng: np.random.Generator) -> FloatMap:
    """Fronds that fall outwards, from above."""
    x, y = _AXIS[None, :], _AXIS[:, None]
    surface = np.zeros((PATCH_PX, PATCH_PX), np.float32)
    fronds = int(rng.integers(11, 18))
    for index in range(fronds):
        angle = 2 * np.pi * (index + float(rng.uniform(-0.3, 0.3))) / fronds
        length = float(rng.uniform(0.75, 1.0))
        along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
        across = np.abs(np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x)
        across = across + np.float32(0.03) * np.sin(along * np.float32(28))
        bulge = np.sin(np.clip(along / np.float32(length), 0, 1) * np.float32(np.pi))
        width = np.float32(0.13) * np.maximum(bulge, 0) ** np.float32(0.6)
        inside = (along > 0) & (along < length) & (across < width)
        height = np.float32(0.98) - np.float32(0.45) * along**2 - across * np.float32(1.2)
        surface = np.maximum(surface, np.where(inside, height, 0))
    return np.clip(surface, 0, 1)


def plant(canvas: Canvas, x: float, y: float, radius: float, height: float, colour: Colour, *, palm: bool = False) -> None:
    """Put a crown of `radius` and `height` at (x, y), all in metres; of overlapping crowns the higher one shows."""
    rng = canvas.rng
    patches = crown_patches()[int(palm)]
    patch = patches[int(rng.integers(len(patches)))]
    patch = np.rot90(patch, int(rng.integers(4)))
    if rng.random() < 0.5:
        patch = patch[::-1]
    side = max(3, round(2 * radius * canvas.per_metre))
    interpolation = cv2.INTER_AREA if side < PATCH_PX else cv2.INTER_LINEAR
    crown = cv2.resize(np.ascontiguousarray(patch), (side, side), interpolation=interpolation)
    top, left = round(y * canvas.per_metre - side / 2), round(x * canvas.per_metre - side / 2)
    rows = slice(max(top, 0), min(top + side, canvas.shape[0]))
    columns = slice(max(left, 0), min(left + side, canvas.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    crown = crown[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    surface = np.where(crown > 0.2, np.float32(height) * (np.float32(0.25) + np.float32(0.75) * crown), 0)
    wins = surface > canvas.crown[rows, columns]
    canvas.crown[rows, columns][wins] = surface[wins]
    # Leaves deep inside the crown get less light from the sky.
    depth = np.clip(np.float32(0.55) + np.float32(0.6) * crown, 0, 1.15)
    canvas.crown_albedo[:, rows, columns][:, wins] = np.asarray(colour, np.float32)[:, None] * depth[wins]


def plant_tree(canvas: Canvas, x: float, y: float, leaves: tuple[Colour, ...], *, palms: float = 0.0, size: float = 1.0) -> None:
    """Plant a tree or bush of random size times `size`, a palm with probability `palms`, unless (x, y) is taken."""
    rng = canvas.rng
    pixel = canvas.pixel(x, y)
    if pixel is not None and canvas.taken[pixel]:
        return
    colour = pick(leaves, 0.10, rng)
    palm = bool(rng.random() < palms)
    radius = float(rng.uniform(1.6, 2.8)) if palm else float(np.clip(rng.lognormal(0.55, 0.5), 0.5, 5.2)) * size
    height = float(rng.uniform(5, 9)) if palm else float(np.clip(radius * rng.uniform(1.5, 2.6) + 0.4, 0.6, 12))
    plant(canvas, x, y, radius, height, colour, palm=palm)
