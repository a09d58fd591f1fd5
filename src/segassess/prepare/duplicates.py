"""Repeated images, found by their perceptual hash pHash (C. Zauner, 2010), which survives recompression.

Its bits are the signs of the 8 x 8 lowest frequencies of a 32 x 32 thumbnail's cosine transform against their median. About 90
% of CrowdAI's training images repeat others (arXiv 2304.02296).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np

from segassess.prepare.source import Track

HASH_BITS = 64
_THUMBNAIL, _LOW = 32, 8
_BATCH = 256


def perceptual_hash(path: Path) -> int | None:
    """64-bit perceptual hash of an image, or None if it cannot be read."""
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error):
        return None
    if image is None:
        return None
    thumbnail = cv2.resize(image, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(thumbnail.astype(np.float32))[:_LOW, :_LOW]
    signs = (frequencies > np.median(frequencies)).ravel()
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def perceptual_hashes(paths: Sequence[Path], track: Track) -> list[int | None]:
    """`perceptual_hash` of many images."""
    hashes: list[int | None] = []
    with ThreadPoolExecutor() as pool:
        for start in track(range(0, len(paths), _BATCH), "Comparing images"):
            hashes += pool.map(perceptual_hash, paths[start : start + _BATCH])
    return hashes


def distance(first: int, second: int) -> int:
    """Number of bits in which two hashes differ."""
    return (first ^ second).bit_count()


def clusters(hashes: Sequence[int | None], max_distance: int = 0) -> list[int]:
    """For each image, the position of the first image of its cluster.

    Images within `max_distance` bits of any member of a cluster belong to it; the hash None matches nothing.
    """
    first: dict[int, int] = {}
    for position, value in enumerate(hashes):
        if value is not None:
            first.setdefault(value, position)
    parent = {value: value for value in first}

    def root(value: int) -> int:
        while parent[value] != value:
            parent[value] = parent[parent[value]]
            value = parent[value]
        return value

    for one, other in _near(list(first), max_distance):
        one, other = root(one), root(other)
        if one != other:
            earlier, later = sorted((one, other), key=first.__getitem__)
            parent[later] = earlier
    return [position if value is None else first[root(value)] for position, value in enumerate(hashes)]


def _near(values: Sequence[int], max_distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of different hashes within `max_distance`.

    Of max_distance + 1 parts of two such hashes at least one is equal, so only hashes that share a part are compared.
    """
    if max_distance == 0:
        return
    edges = [HASH_BITS * part // (max_distance + 1) for part in range(max_distance + 2)]
    for low, high in pairwise(edges):
        sharing: dict[int, list[int]] = {}
        for value in values:
            sharing.setdefault(value >> low & (1 << high - low) - 1, []).append(value)
        for candidates in sharing.values():
            yield from (pair for pair in combinations(candidates, 2) if distance(*pair) <= max_distance)
