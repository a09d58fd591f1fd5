"""Errors of whole objects (8-connected): dropped, invented, moved, merged, split, bitten, holes filled.

All take a bool (H, W) mask and return a new one. Loops run over the chosen objects, not over pixels.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

BoolMap: TypeAlias = NDArray[np.bool_]
ByteMap: TypeAlias = NDArray[np.uint8]

# Beyond this many objects an operation picks a random subset: a mask of noise must not take seconds.
MAX_PICKED = 64
SHIFT_GROUPS = 12
PLACEMENT_TRIES = 6
# Invented objects are at least this long (pixels), or the outline operations that follow would erase them.
MIN_INVENTED_PX = 6


def label_objects(mask: BoolMap) -> tuple[int, NDArray[np.int32], NDArray[np.int32]]:
    """Number of components N, labels int32 (H, W) in 0..N, and boxes int32 (N + 1, 5): x, y, w, h, area."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count - 1, np.asarray(labels, np.int32), np.asarray(stats, np.int32)


def drop_objects(mask: BoolMap, share: float, rng: np.random.Generator) -> BoolMap:
    """Remove each object with probability `share`."""
    count, labels, _ = label_objects(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[1:] = rng.random(count) >= share
    return keep[labels]


def cut_gaps(mask: BoolMap, share: float, side: float, rng: np.random.Generator) -> BoolMap:
    """Remove a share of the foreground, what squares of a side in pixels around random foreground pixels cover."""
    result, reach = mask.copy(), max(1, round(side / 2))
    goal = round((1 - share) * np.count_nonzero(mask))
    while (left := np.flatnonzero(result)).size > goal:
        row, column = np.unravel_index(int(rng.choice(left)), mask.shape)
        result[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach] = False
    return result


def grow_region(
    image: ByteMap, seed: tuple[int, int], reach: int, tolerance: float, blocked: BoolMap
) -> tuple[slice, slice, BoolMap]:
    """Window (rows, columns) and region, bool of its size, of similar colour around the unblocked pixel `seed` (row, column).

    The region stays within `reach` pixels of the seed and within `tolerance` grey levels of its colour, per channel.
    """
    height, width = blocked.shape
    row, column = seed
    rows = slice(max(row - reach, 0), min(row + reach + 1, height))
    columns = slice(max(column - reach, 0), min(column + reach + 1, width))
    window = cv2.blur(image[rows, columns], (5, 5))
    # floodFill wants a mask with a border of one pixel, in which non-zero pixels stop the fill.
    barrier = np.ones((window.shape[0] + 2, window.shape[1] + 2), np.uint8)
    barrier[1:-1, 1:-1] = blocked[rows, columns]
    flags = 8 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (2 << 8)
    limit = (tolerance,) * 3
    cv2.floodFill(window, barrier, (column - columns.start, row - rows.start), (0, 0, 0), limit, limit, flags)
    grown = (barrier[1:-1, 1:-1] == 2).astype(np.uint8)
    grown = cv2.morphologyEx(grown, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return rows, columns, (grown > 0) & ~blocked[rows, columns]


def _blob(shape: tuple[int, int], centre: tuple[int, int], reach: int, rng: np.random.Generator) -> BoolMap:
    """Rotated ellipse or box around `centre` (row, column), which hides the straight cut of a grown region's window."""
    canvas = np.zeros(shape, np.uint8)
    axes = (reach * rng.uniform(0.5, 1.0), reach * rng.uniform(0.35, 1.0))
    angle = float(rng.uniform(0, 180))
    position = (float(centre[1]), float(centre[0]))
    if rng.random() < 0.5:
        cv2.ellipse(canvas, (position, (2 * axes[0], 2 * axes[1]), angle), 1, -1)
    else:
        corners = cv2.boxPoints((position, (1.8 * axes[0], 1.8 * axes[1]), angle))
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
    return canvas > 0


def _similar_region(
    image: ByteMap, allowed: BoolMap, size_px: tuple[float, float], rng: np.random.Generator
) -> tuple[slice, slice, BoolMap] | None:
    """A region of similar colour grown from a random allowed pixel, or None if it stayed a speck."""
    candidates = np.flatnonzero(allowed)
    if candidates.size == 0:
        return None
    row, column = divmod(int(candidates[rng.integers(candidates.size)]), allowed.shape[1])
    reach = max(MIN_INVENTED_PX, round(float(rng.uniform(*size_px)) / 2))
    rows, columns, region = grow_region(image, (row, column), reach, float(rng.uniform(10, 35)), ~allowed)
    region &= _blob(region.shape, (row - rows.start, column - columns.start), reach, rng)
    return (rows, columns, region) if int(region.sum()) >= MIN_INVENTED_PX**2 // 2 else None


def miss_regions(mask: BoolMap, image: ByteMap, number: int, size_px: tuple[float, float], rng: np.random.Generator) -> BoolMap:
    """Remove up to `number` regions of similar colour (a roof or half of it), `size_px` (smallest, largest) pixels long."""
    result = mask.copy()
    for _ in range(number):
        if (found := _similar_region(image, result, size_px, rng)) is not None:
            rows, columns, region = found
            result[rows, columns] &= ~region
    return result


def invent_regions(mask: BoolMap, image: ByteMap, number: int, size_px: tuple[float, float], rng: np.random.Generator) -> BoolMap:
    """Add up to `number` regions of similar colour, as networks take trees, yards and roads for objects."""
    return ~miss_regions(~mask, image, number, size_px, rng)


def _made_up_shape(size_px: tuple[float, float], rng: np.random.Generator) -> BoolMap:
    """A filled box, sometimes without a corner, for images that have no object to copy."""
    height, width = (max(MIN_INVENTED_PX, round(float(length))) for length in rng.uniform(*size_px, 2))
    shape = np.ones((height, width), dtype=bool)
    if rng.random() < 0.4:
        shape[: height // 2, : width // 2] = False
    return shape


def _turned(shape: BoolMap, rng: np.random.Generator) -> BoolMap:
    height, width = shape.shape
    side = int(np.ceil(1.3 * np.hypot(height, width))) + 2
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(rng.uniform(0, 360)), float(rng.uniform(0.7, 1.3)))
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    turned = cv2.warpAffine(shape.astype(np.uint8), turn, (side, side), flags=cv2.INTER_NEAREST) > 0
    rows, columns = np.flatnonzero(turned.any(axis=1)), np.flatnonzero(turned.any(axis=0))
    if rows.size == 0:
        return shape
    return np.asarray(turned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def invent_copies(mask: BoolMap, number: int, size_px: tuple[float, float], rng: np.random.Generator) -> BoolMap:
    """Add up to `number` rotated copies of the mask's objects on free background.

    Where the mask has none, boxes of `size_px` (smallest, largest) pixels stand in.
    """
    height, width = mask.shape
    count, labels, boxes = label_objects(mask)
    result = mask.copy()
    for _ in range(number):
        if count:
            label = int(rng.integers(1, count + 1))
            x, y, w, h = (int(value) for value in boxes[label, :4])
            shape = labels[y : y + h, x : x + w] == label
        else:
            shape = _made_up_shape(size_px, rng)
        shape = _turned(shape, rng)
        # A copy as large as half the image would hide everything else.
        shape = shape[: max(1, 2 * height // 3), : max(1, 2 * width // 3)]
        for _ in range(PLACEMENT_TRIES):
            top, left = int(rng.integers(height - shape.shape[0] + 1)), int(rng.integers(width - shape.shape[1] + 1))
            place = result[top : top + shape.shape[0], left : left + shape.shape[1]]
            if not (place & shape).any():
                place |= shape
                break
    return result


def _translated(mask: BoolMap, dy: int, dx: int) -> BoolMap:
    height, width = mask.shape
    moved = np.zeros_like(mask)
    if abs(dy) < height and abs(dx) < width:
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return moved


def shift_objects(mask: BoolMap, pixels: float, rng: np.random.Generator) -> BoolMap:
    """Move all objects by one displacement of `pixels` (a misaligned layer), plus up to a third of it per object and axis."""
    direction = rng.uniform(0, 2 * np.pi)
    common = pixels * np.array([np.sin(direction), np.cos(direction)])
    own = rng.uniform(-pixels / 3, pixels / 3, (SHIFT_GROUPS, 2))
    steps = np.round(common + own).astype(int)
    count, labels, _ = label_objects(mask)
    # Objects of one group move together: bounded cost however many there are.
    groups = np.full(count + 1, SHIFT_GROUPS, np.int32)
    groups[1:] = rng.integers(0, SHIFT_GROUPS, count)
    grouped = groups[labels]
    result = np.zeros_like(mask)
    for group in np.unique(groups[1:]):
        result |= _translated(grouped == group, int(steps[group, 0]), int(steps[group, 1]))
    return result


def merge_neighbours(mask: BoolMap, radius: int) -> BoolMap:
    """Close gaps of up to 2 * `radius` pixels between objects."""
    if radius < 1:
        return mask.copy()
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    return np.asarray((closed > 0) | mask)


def _picked(
    mask: BoolMap, share: float, rng: np.random.Generator
) -> Iterator[tuple[slice, slice, BoolMap, NDArray[Any], NDArray[Any]]]:
    """Rows, columns and pixels in its box of each of a random share of the objects, and the coordinates of those pixels."""
    count, labels, boxes = label_objects(mask)
    picked = np.flatnonzero(rng.random(count) < share) + 1
    for label in picked if picked.size <= MAX_PICKED else rng.choice(picked, MAX_PICKED, replace=False):
        x, y, w, h = (int(value) for value in boxes[label, :4])
        rows, columns = slice(y, y + h), slice(x, x + w)
        inside = labels[rows, columns] == label
        yield rows, columns, inside, *np.nonzero(inside)


def split_objects(mask: BoolMap, share: float, width_px: float, rng: np.random.Generator) -> BoolMap:
    """Cut a straight strip of `width_px` pixels across a `share` of the objects."""
    result = mask.copy()
    for rows, columns, inside, ys, xs in _picked(mask, share, rng):
        through = int(rng.integers(ys.size))
        centre_y, centre_x = (ys.mean() + ys[through]) / 2, (xs.mean() + xs[through]) / 2
        angle = rng.uniform(0, np.pi)
        y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
        strip = np.abs((y - centre_y) * np.cos(angle) + (x - centre_x) * np.sin(angle)) <= width_px / 2
        result[rows, columns] &= ~(strip & inside)
    return result


def bite_objects(mask: BoolMap, share: float, depth: float, rng: np.random.Generator) -> BoolMap:
    """Take a round bite off a `share` of the objects, of radius `depth` times the square root of the object's area."""
    result = mask.copy()
    for rows, columns, inside, ys, xs in _picked(mask, share, rng):
        # The farthest of a few random pixels lies near the outline, mostly at a corner.
        tried = rng.integers(ys.size, size=6)
        far = tried[np.argmax((ys[tried] - ys.mean()) ** 2 + (xs[tried] - xs.mean()) ** 2)]
        radius = depth * np.sqrt(ys.size) * rng.uniform(0.5, 1.0)
        y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
        result[rows, columns] &= ~(((y - ys[far]) ** 2 + (x - xs[far]) ** 2 <= radius**2) & inside)
    return result


def fill_holes(mask: BoolMap) -> BoolMap:
    """Fill background that does not reach the image border."""
    padded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2)
    return np.asarray(padded[1:-1, 1:-1] != 2)
