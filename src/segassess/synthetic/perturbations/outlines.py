"""Errors of outlines: wrong offset, wobbly, simplified, rounded, coarse, or following a shadow.

All take a bool (H, W) mask and return a new one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.synthetic.noise import smooth_noise
from segassess.synthetic.perturbations.objects import BoolMap, ByteMap


def signed_distance(mask: BoolMap) -> NDArray[np.float32]:
    """Distance to the outline in pixels, positive inside: float32 (H, W); the mask must hold both values."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    # Half a pixel off, so that the zero line runs between the last inner and the first outer pixel.
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside), np.float32)


def _uniform(mask: BoolMap) -> bool:
    """Whether there is no outline to change."""
    return not mask.any() or bool(mask.all())


def offset_outlines(mask: BoolMap, pixels: float) -> BoolMap:
    """Dilate (`pixels` > 0) or erode (`pixels` < 0) all objects by an Euclidean distance."""
    if _uniform(mask) or pixels == 0:
        return mask.copy()
    return np.asarray(signed_distance(mask) > -pixels)


def wobble_outlines(mask: BoolMap, amplitude_px: float, scale_px: float, rng: np.random.Generator) -> BoolMap:
    """Displace the outline by smooth noise of standard deviation `amplitude_px`, its wobbles `scale_px` long."""
    if _uniform(mask) or amplitude_px <= 0:
        return mask.copy()
    noise = 0.85 * smooth_noise(mask.shape, scale_px, rng) + 0.5 * smooth_noise(mask.shape, max(2.0, scale_px / 3), rng)
    return np.asarray(signed_distance(mask) + amplitude_px * noise > 0)


def round_corners(mask: BoolMap, pixels: float) -> BoolMap:
    """Round corners and drop spikes thinner than about `pixels`, by a Gaussian blur and a threshold of one half."""
    if _uniform(mask) or pixels <= 0:
        return mask.copy()
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), pixels, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft > 0.5)


def simplify_outlines(mask: BoolMap, pixels: float) -> BoolMap:
    """Replace outlines by polygons that stay within `pixels` of them (Douglas-Peucker, `cv2.approxPolyDP`)."""
    if pixels <= 0:
        return mask.copy()
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    result = np.zeros(mask.shape, np.uint8)
    if not contours:
        return result > 0
    parents = np.asarray(hierarchy).reshape(-1, 4)[:, 3]
    polygons = [cv2.approxPolyDP(contour, pixels, True) for contour in contours]
    # A polygon of one or two points has no area: such an object keeps its outline instead of vanishing.
    polygons = [polygon if len(polygon) >= 3 else contour for polygon, contour in zip(polygons, contours, strict=True)]
    outer = [polygon for polygon, parent in zip(polygons, parents, strict=True) if parent < 0]
    holes = [polygon for polygon, parent in zip(polygons, parents, strict=True) if parent >= 0]
    for polygon in outer:
        cv2.fillPoly(result, [polygon], 1)
    for polygon in holes:
        cv2.fillPoly(result, [polygon], 0)
        # The contour of a hole runs on the object's own pixels.
        cv2.polylines(result, [polygon], True, 1)
    return result > 0


def coarsen(mask: BoolMap, factor: float, threshold: float, noise: float, rng: np.random.Generator) -> BoolMap:
    """Imitate a network of low resolution: shrink by `factor` >= 1, add noise, enlarge smoothly, cut at `threshold`.

    Noise and threshold are shares of foreground; a low threshold gives fat objects, a high one loses thin ones.
    """
    if factor <= 1:
        return mask.copy()
    height, width = mask.shape
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    share = cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    share = cv2.GaussianBlur(share, (0, 0), 0.6)
    # A network doubts where there is an edge nearby, not in the middle of a field.
    doubt = noise * (0.15 + 0.85 * np.clip(4 * share * (1 - share), 0, 1))
    share = share + doubt * rng.standard_normal(share.shape, dtype=np.float32)
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_CUBIC) > threshold)


def include_shadows(mask: BoolMap, image: ByteMap, reach_px: int) -> BoolMap:
    """Add dark pixels within `reach_px` of an object, as if its shadow were part of it."""
    if _uniform(mask) or reach_px < 1:
        return mask.copy()
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
    near = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    background = grey[near & ~mask]
    if background.size == 0:
        return mask.copy()
    dark = near & (grey < min(float(np.quantile(background, 0.35)), 90.0))
    dark_opened = cv2.morphologyEx((dark & ~mask).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return np.asarray(mask | dark_opened)
