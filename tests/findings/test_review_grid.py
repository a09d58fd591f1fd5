import numpy as np
import pytest

from segassess.errors import ConfigError
from segassess.findings.review_grid import ReviewGrid
from segassess.metrics.expected_counts import ExpectedCounts

GRID = ReviewGrid(100, 70, 32)
RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet(np.ones(4), (100, 70)).transpose(2, 0, 1).astype(np.float32)
VALID = RNG.random((100, 70)) > 0.2


def test_tiles_add_up_to_the_whole_and_know_their_place():
    tiles = list(GRID.tiles(GRID.counts(PROBABILITIES, VALID, 0, 0)))
    assert GRID.shape == (4, 3) and len(tiles) == 12
    whole, total = ExpectedCounts.of(PROBABILITIES, VALID), sum((tile.counts for tile in tiles), ExpectedCounts())
    assert total.valid == whole.valid and total.iou == pytest.approx(whole.iou)
    last = tiles[-1]
    assert (last.row, last.column, last.left, last.top, last.right, last.bottom) == (3, 2, 64, 96, 70, 100)
    part = np.s_[96:100, 64:70]
    assert last.counts.errors == pytest.approx(ExpectedCounts.of(PROBABILITIES[:, 96:100, 64:70], VALID[part]).errors)


def test_parts_add_up_to_the_tiles():
    counts = np.zeros((*GRID.shape, 4))
    for top, bottom in ((0, 20), (20, 75), (75, 100)):
        for left, right in ((0, 40), (40, 70)):
            part = GRID.counts(PROBABILITIES[:, top:bottom, left:right], VALID[top:bottom, left:right], top, left)
            assert part.shape[:2] == GRID.rows_of(top, bottom - top)
            counts[top // 32 : top // 32 + len(part)] += part
    assert np.allclose(counts, GRID.counts(PROBABILITIES, VALID, 0, 0))


def test_tiles_without_data_are_left_out():
    valid = np.zeros((100, 70), bool)
    valid[99, 0] = True
    (tile,) = GRID.tiles(GRID.counts(np.full((4, 100, 70), np.nan, np.float32) * 0 + 0.25, valid, 0, 0))
    assert (tile.row, tile.column, tile.counts.valid) == (3, 0, 1)


def test_the_smallest_tile():
    with pytest.raises(ConfigError, match="review_tile must be at least 16 pixels, not 15"):
        ReviewGrid(100, 100, 15)
