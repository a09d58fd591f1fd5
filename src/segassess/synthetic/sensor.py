"""From radiance to a camera's image: sampling, haze, colour cast, blur, noise, sharpening, compression."""

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.synthetic.canvas import SUPERSAMPLING, BoolMap


def downsample_truth(truth: BoolMap) -> BoolMap:
    """Truth at image resolution, bool (H, W): a pixel belongs to the object if at least half of its area does."""
    size = (truth.shape[1] // SUPERSAMPLING, truth.shape[0] // SUPERSAMPLING)
    return np.asarray(cv2.resize(truth.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5)


def expose(radiance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image, uint8 (H, W, 3), of radiance, float32 (3, H * SUPERSAMPLING, W * SUPERSAMPLING); camera and weather are random."""
    size = (radiance.shape[2] // SUPERSAMPLING, radiance.shape[1] // SUPERSAMPLING)
    image = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in radiance], axis=-1)
    blur = float(rng.uniform(0.0, 0.75))
    if blur > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    # Exposed for the scene, as automatic cameras do, not for white.
    gain = float(rng.uniform(0.40, 0.50)) / max(float(image.mean()), 0.05)
    image = image * np.float32(np.clip(gain, 0.75, 1.6))
    cast = np.asarray(1 + rng.normal(0, 0.025, 3), np.float32)
    haze = float(np.clip(rng.exponential(0.05), 0, 0.22))
    image = image * cast * np.float32(1 - haze) + np.float32(haze) * np.array((0.66, 0.70, 0.74), np.float32)
    contrast = float(rng.uniform(0.95, 1.25))
    image = (image - np.float32(0.45)) * np.float32(contrast) + np.float32(0.45)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * np.float32(rng.uniform(0.72, 1.08))
    noise = float(rng.uniform(0.002, 0.018))
    image = image + np.float32(noise) * rng.standard_normal(image.shape[:2], dtype=np.float32)[..., None]
    if rng.random() < 0.4:
        image = image + np.float32(rng.uniform(0.3, 0.9)) * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
    # A soft shoulder keeps white roofs from clipping to flat white.
    image = np.where(image > 0.85, 0.85 + 0.15 * np.tanh((image - 0.85) / 0.15), image)
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(65, 96))
        _, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return np.ascontiguousarray(pixels)
