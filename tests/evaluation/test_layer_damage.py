import numpy as np
import pytest
import shapely
import shapely.affinity

from segassess.errors import RequestError
from segassess.evaluation.layer_damage import (
    EMPTIED,
    INVENTED,
    KINDS,
    REMOVED,
    SHIFTED,
    PixelScores,
    damage_layer,
    fitting_counts,
    shifts_found,
)
from segassess.quality import FN, FP, NOT_ASSESSED, TN

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


def test_a_square_is_emptied():
    damaged = damage_layer(GRID, SIZE, COUNTS, (4, 10), np.random.default_rng(0), emptied_px=120)
    square = shapely.box(140, 90, 260, 210)
    gone = [missing for kind, missing in zip(damaged.kinds, damaged.missing, strict=True) if kind == EMPTIED]
    expected = [polygon for polygon in GRID if shapely.contains_properly(square, polygon.centroid)]
    assert len(gone) == len(expected) == 9 and shapely.union_all(gone).equals(shapely.union_all(expected))
    assert damaged.kinds.count(REMOVED) == 10 and len(damaged.polygons) == len(GRID) - 9 - 10 + 6


def test_a_square_must_leave_something():
    with pytest.raises(RequestError, match="outside the emptied square"):
        damage_layer(GRID, SIZE, COUNTS, (4, 10), np.random.default_rng(0), emptied_px=500)


def test_the_same_seed_is_the_same_damage():
    assert all(one.equals(two) for one, two in zip(damage(3).polygons, damage(3).polygons, strict=True))
    assert not all(one.equals(two) for one, two in zip(damage(3).polygons, damage(4).polygons, strict=True))


@pytest.mark.parametrize(
    ("wanted", "polygons", "fitting"),
    [
        ((200, 200, 100), 1371, (200, 200, 100)),
        ((200, 200, 100), 228, (57, 57, 29)),
        ((200, 100, 0), 60, (20, 10, 0)),
        ((200, 200, 100), 1, (1, 0, 1)),
        ((0, 0, 5), 1, (0, 0, 5)),
    ],
)
def test_a_small_layer_is_damaged_less_in_the_same_proportions(wanted, polygons, fitting):
    assert tuple(fitting_counts(dict(zip(KINDS, wanted, strict=True)), polygons).values()) == fitting


def test_most_of_a_layer_stays_right():
    kinds = damage(counts={REMOVED: 200, SHIFTED: 200, INVENTED: 0}).kinds
    assert (len(GRID), kinds.count(REMOVED), kinds.count(SHIFTED)) == (70, 18, 17)


def test_no_more_is_invented_than_there_is_room_for():
    everywhere = np.array([shapely.box(1, 1, 399, 299)], object)
    assert damage(polygons=everywhere, counts={REMOVED: 0, SHIFTED: 0, INVENTED: 1}).kinds == []


def test_a_layer_that_lies_elsewhere():
    with pytest.raises(RequestError, match=r"polygon .*within the image"):
        damage(polygons=np.array([shapely.box(900, 900, 910, 910)], object))


def test_what_was_shifted_comes_back():
    damaged = damage()
    shifted = np.flatnonzero((damaged.back != 0).any(axis=1))
    assert len(shifted) == 8 and len(damaged.back) == len(damaged.polygons)
    for index in shifted:
        moved = shapely.affinity.translate(damaged.polygons[index], *damaged.back[index])
        assert max(moved.intersection(polygon).area for polygon in GRID) == pytest.approx(300)


def test_shifts_are_found_within_a_metre():
    back = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, -6.0], [3.0, 3.0], [0.0, 0.0]])
    offsets = np.array([[0.0, 1.0], [5.0, 1.0], [0.0, -9.0], [np.nan, np.nan], [7.0, 0.0]])
    found = shifts_found(back, offsets, np.array([False, True, True, False, True]), pixel_m=0.5)
    assert (found.shifted, found.called, found.near, found.others, found.others_called) == (3, 2, 1, 2, 1)


def test_pixels_are_compared_where_they_were_assessed():
    scores = PixelScores()
    quality = np.array([[FP, FP, FN, TN, NOT_ASSESSED]], np.uint8)
    before, after = np.array([[0, 1, 1, 1, 1]], bool), np.array([[1, 1, 0, 0, 0]], bool)
    scores.add(quality, before, after)
    assert scores.iou() == {"FP": 0.5, "FN": 0.5}
