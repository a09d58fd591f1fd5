import numpy as np
import pytest
import shapely

from segassess.data.damage import INVENTED, REMOVED, SHIFTED, damage_layer
from segassess.errors import RequestError

GRID = np.array([shapely.box(x, y, x + 20, y + 15) for x in range(5, 380, 40) for y in range(5, 280, 40)], object)
SIZE = (300, 400)
COUNTS = {REMOVED: 10, SHIFTED: 8, INVENTED: 6}


def damage(seed=0, polygons=GRID, counts=COUNTS):
    return damage_layer(polygons, SIZE, counts, (4, 10), np.random.default_rng(seed))


def test_what_was_done_is_what_is_missing_or_false():
    damaged = damage()
    assert [damaged.kinds.count(kind) for kind in (REMOVED, SHIFTED, INVENTED)] == [10, 8, 6]
    before, after = shapely.union_all(GRID), shapely.union_all(damaged.polygons)
    assert shapely.union_all(damaged.missing).symmetric_difference(before - after).area == pytest.approx(0, abs=1e-6)
    assert shapely.union_all(damaged.false).symmetric_difference(after - before).area == pytest.approx(0, abs=1e-6)
    assert len(damaged.polygons) == len(GRID) - 10 + 6


def test_each_kind():
    damaged = damage()
    for kind, missing, false in zip(damaged.kinds, damaged.missing, damaged.false, strict=True):
        if kind == REMOVED:
            assert missing.area == 300 and false.is_empty
        elif kind == INVENTED:
            assert missing.is_empty and false.area == pytest.approx(300) and shapely.box(0, 0, 400, 300).contains(false)
        else:
            assert 0 < false.area <= 300 and 0 < missing.area < 300


def test_the_same_seed_is_the_same_damage():
    assert all(one.equals(two) for one, two in zip(damage(3).polygons, damage(3).polygons, strict=True))
    assert not all(one.equals(two) for one, two in zip(damage(3).polygons, damage(4).polygons, strict=True))


def test_impossible_requests():
    with pytest.raises(RequestError, match="has 70 polygons within the image, fewer than the 71 to remove and shift"):
        damage(counts={REMOVED: 71, SHIFTED: 0, INVENTED: 0})
    everywhere = np.array([shapely.box(1, 1, 399, 299)], object)
    with pytest.raises(RequestError, match="room for 0 invented polygons only"):
        damage(polygons=everywhere, counts={REMOVED: 0, SHIFTED: 0, INVENTED: 1})
