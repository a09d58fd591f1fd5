"""Sunlight and skylight on the canvas: shading from slopes, cast shadows from heights."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.synthetic.canvas import Canvas, FloatMap

MAX_HEIGHT_M = 16.0


@dataclass(frozen=True)
class Sun:
    """Direction to the sun in radians: azimuth from +x towards +y (down), and elevation above the horizon.

    `sky` is skylight per channel, as a share of full light.
    """

    azimuth: float
    elevation: float
    sky: tuple[float, float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Sun":
        """A sun between mid-morning and noon, with a clearer or hazier sky."""
        sky = float(rng.uniform(0.36, 0.62))
        return cls(float(rng.uniform(0, 2 * np.pi)), float(np.deg2rad(rng.uniform(36, 68))), (0.94 * sky, sky, 1.12 * sky))


def cast_shadow(height: FloatMap, sun: Sun, per_metre: float) -> FloatMap:
    """Height in metres up to which each pixel lies in shadow, at least its own: float32 (H, W).

    Shadow height falls linearly away from the sun: it is a maximum over steps, which doubling takes logarithmically many
    passes.
    """
    shadow = height
    step = 1.0
    longest = MAX_HEIGHT_M / np.tan(sun.elevation) * per_metre
    drop = float(np.tan(sun.elevation)) / per_metre
    while step < longest:
        dx, dy = -step * np.cos(sun.azimuth), -step * np.sin(sun.azimuth)
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        moved = cv2.warpAffine(shadow, matrix, shadow.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        shadow = np.maximum(shadow, moved - np.float32(step * drop))
        step *= 2
    return np.asarray(shadow, np.float32)


def illuminate(canvas: Canvas, sun: Sun) -> NDArray[np.float32]:
    """Radiance of the scene: float32 (3, H, W), 1 for white ground in full light; the higher of crown and ground shows."""
    leafy = canvas.crown > np.maximum(canvas.height, 0)
    height = np.where(leafy, canvas.crown, canvas.height)
    albedo = np.where(leafy, canvas.crown_albedo, canvas.albedo)
    surface = cv2.GaussianBlur(canvas.crown, (0, 0), max(0.4, 0.08 * canvas.per_metre))
    half = np.float32(canvas.per_metre / 2)
    slope_x = np.where(leafy, np.clip(cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=1) * half, -1.6, 1.6), canvas.slope[0])
    slope_y = np.where(leafy, np.clip(cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=1) * half, -1.6, 1.6), canvas.slope[1])
    lx, ly = (np.float32(np.cos(sun.elevation) * f(sun.azimuth)) for f in (np.cos, np.sin))
    lz = np.float32(np.sin(sun.elevation))
    facing = (lz - slope_x * lx - slope_y * ly) / np.sqrt(1 + slope_x**2 + slope_y**2)
    direct = np.maximum(facing, 0) / lz
    buried = cast_shadow(height, sun, canvas.per_metre) - height
    lit = 1 - np.clip((buried - np.float32(0.15)) / np.float32(0.35), 0, 1)
    lit = cv2.GaussianBlur(lit, (0, 0), max(0.3, 0.06 * canvas.per_metre))
    # Narrow places between walls see little sky.
    around = cv2.blur(height, (2 * round(1.8 * canvas.per_metre) + 1,) * 2)
    open_sky = 1 - np.clip((around - height) * np.float32(0.09), 0, 0.45)
    direct *= lit
    for plane, sky in zip(albedo, np.asarray(sun.sky, np.float32), strict=True):
        plane *= direct * (1 - sky) + open_sky * sky
    return np.asarray(albedo, np.float32)
