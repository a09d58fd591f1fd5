"""Folds for cross-fitting: tiles divided by group, balanced within each region."""

from collections.abc import Sequence

import numpy as np

from segassess.data.tiles import Tile
from segassess.errors import RequestError


def divide(tiles: Sequence[Tile], folds: int, seed: int) -> list[list[Tile]]:
    """Divide tiles into at least 2 folds, so that no group is split and each region is spread evenly; keeps the order of tiles.

    The groups of a region, shuffled and then largest first, go one by one to the fold with the fewest tiles of that region.
    Raises RequestError if there are fewer than 2 folds, or fewer groups than folds.
    """
    groups: dict[tuple[str, str], int] = {}
    for tile in tiles:
        groups[tile.region, tile.group] = groups.get((tile.region, tile.group), 0) + 1
    if folds < 2:
        raise RequestError(f"folds must be at least 2, not {folds}.")
    if len(groups) < folds:
        raise RequestError(f"{len(groups)} groups of tiles are too few for {folds} folds; set folds={len(groups)} or fewer.")
    names = sorted(groups)
    np.random.default_rng(seed).shuffle(names)
    # A stable sort keeps the shuffled order among groups of one size.
    names.sort(key=lambda name: -groups[name])
    fold_of: dict[tuple[str, str], int] = {}
    in_region: dict[str, list[int]] = {}
    total = [0] * folds
    for name in names:
        counts = in_region.setdefault(name[0], [0] * folds)
        fold = min(range(folds), key=lambda index: (counts[index], total[index]))
        fold_of[name] = fold
        counts[fold] += groups[name]
        total[fold] += groups[name]
    return [[tile for tile in tiles if fold_of[tile.region, tile.group] == fold] for fold in range(folds)]
