import numpy as np
import pytest

from segassess.metrics import objects
from segassess.metrics.missed_objects import missed_objects
from segassess.metrics.objects import MaskObjects, estimated_object_iou, true_object_iou
from segassess.quality import encode

VALID = np.ones((40, 40), bool)


def canvas(*boxes):
    pixels = np.zeros((40, 40), bool)
    for box in boxes:
        pixels[box] = True
    return pixels


MASK = canvas(np.s_[5:15, 5:15], np.s_[25:35, 25:35])


def certain(mask, truth):
    import torch

    codes = encode(torch.from_numpy(mask), torch.from_numpy(truth)).numpy()
    return np.stack([codes == code for code in range(4)]).astype(np.float32), codes


def test_diagonal_neighbours_are_one_object():
    found = MaskObjects.of(canvas(np.s_[0:3, 0:3], np.s_[3:5, 3:5], np.s_[10:12, 0:2]), VALID)
    assert found.area.tolist() == [13, 4] and len(found) == 2


def test_missing_pixels_are_charged_within_the_reach():
    # The first object is half there and lacks a strip on the right; the second is right.
    truth = canvas(np.s_[5:15, 10:19], np.s_[25:35, 25:35])
    found = MaskObjects.of(MASK, VALID, reach=3)
    assert true_object_iou(found, truth, VALID).tolist() == pytest.approx([50 / (100 + 30), 1.0])
    alone = MaskObjects.of(canvas(np.s_[5:15, 5:15]), VALID)
    assert true_object_iou(alone, truth, VALID) == pytest.approx([50 / (100 + 40)])


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_missed_objects_are_charged_to_nobody(gap):
    """A missed building beside another one, which it may touch."""
    building = canvas(np.s_[3:18, 15 + gap : 30 + gap])
    found = MaskObjects.of(MASK, VALID)
    missed = missed_objects(building, MASK) > 0
    # The disc rounds off those of its corners that are near the mask.
    assert 0.85 * building.sum() < missed.sum() <= building.sum() and not missed[~building].any()
    assert true_object_iou(found, MASK | building, VALID).tolist() == pytest.approx([1.0, 1.0], abs=0.2)


def test_what_is_narrow_is_a_missed_object_where_it_touches_nothing():
    narrow = canvas(np.s_[5:15, 17:20])
    assert (missed_objects(narrow, MASK) > 0)[narrow].all()
    touching = canvas(np.s_[8:11, 15:40])
    # Only from its 16th pixel on.
    assert (missed_objects(touching, MASK) > 0)[9].tolist() == [False] * 30 + [True] * 10


def test_what_runs_along_an_object_is_no_missed_object():
    for strip in (np.s_[5:15, 15:20], np.s_[2:18, 15:22]):
        missing = canvas(strip) & ~MASK
        assert not missed_objects(missing, MASK).any()
        assert true_object_iou(MaskObjects.of(MASK, VALID), MASK | missing, VALID)[0] == pytest.approx(
            100 / (100 + missing.sum())
        )


def test_a_missed_object_comes_apart_from_rims():
    """Rims around both objects of the mask, and a missed one between them that touches either rim."""
    missing = canvas(np.s_[3:17, 3:17], np.s_[23:37, 23:37], np.s_[12:26, 14:26]) & ~MASK
    missed = missed_objects(missing, MASK) > 0
    assert not missed[3:10, 3:17].any() and not missed[28:37].any() and missed[14:24, 17:24].all()


def test_a_pixel_belongs_to_the_nearest_object():
    pair = canvas(np.s_[10:20, 5:10], np.s_[10:20, 16:21])
    nearest = MaskObjects.of(pair, VALID).nearest
    assert nearest[15, 10:16].tolist() == [1, 1, 1, 2, 2, 2] and not nearest[pair].any()
    valid = VALID.copy()
    valid[15, 11] = False
    assert MaskObjects.of(pair, valid).nearest[15, 10:13].tolist() == [1, 0, 1]


def test_strips_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((10, 10)) > 0.9, np.ones((4, 4))).astype(bool)
    whole = MaskObjects.of(mask, VALID, reach=5)
    monkeypatch.setattr(objects, "_STRIP", 7)
    strips = MaskObjects.of(mask, VALID, reach=5)
    # Between equally near objects either may be chosen.
    differ = whole.nearest != strips.nearest
    assert ((whole.nearest > 0) == (strips.nearest > 0)).all() and differ.mean() < 0.02


def test_certain_estimates_are_true():
    truth = canvas(np.s_[4:14, 6:18], np.s_[27:30, 20:40], np.s_[36:39, 2:9])
    probabilities, codes = certain(MASK, truth)
    found = MaskObjects.of(MASK, VALID)
    estimated = estimated_object_iou(found, probabilities, codes, VALID)
    assert estimated.tolist() == pytest.approx(true_object_iou(found, truth, VALID).tolist())
    assert 0 < estimated[1] < estimated[0] < 1


def test_estimates_count_misses_that_are_not_called():
    """P(FN) below the decision counts as well, but not that of an object of its own."""
    truth = MASK | canvas(np.s_[3:18, 21:36])
    probabilities, codes = certain(MASK, truth)
    probabilities[3, 5:15, 15] = 0.25
    found = MaskObjects.of(MASK, VALID)
    assert estimated_object_iou(found, probabilities, codes, VALID).tolist() == pytest.approx([100 / 102.5, 1.0])


def test_no_object():
    found = MaskObjects.of(canvas(), VALID)
    assert len(found) == 0 and true_object_iou(found, MASK, VALID).shape == (0,)
