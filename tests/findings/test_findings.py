import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from scipy import ndimage

from segassess.errors import ConfigError
from segassess.findings.bands import JudgedRows
from segassess.findings.findings import gather_findings
from segassess.findings.object_scores import verdicts
from segassess.metrics.objects import MaskObjects, estimated_object_iou
from segassess.quality import FN, FP, TN, TP
from tests.findings.columns import each_of

SIZE = (40, 40)
RIGHT, WRONG, MISSED = np.s_[2:12, 2:12], np.s_[20:30, 20:25], np.s_[34:39, 2:8]


@pytest.fixture
def scene():
    """An object that is right but lacks a strip, one that is wrong, one that is missed, and specks.

    Returns probabilities, quality, mask and valid.
    """
    mask = np.zeros(SIZE, bool)
    mask[RIGHT] = mask[WRONG] = mask[0, 39] = True
    probabilities = np.zeros((4, *SIZE), np.float32)
    probabilities[TN] = ~mask
    probabilities[TP, mask], probabilities[FP, mask] = 0.75, 0.25
    probabilities[TP][RIGHT], probabilities[FP][RIGHT] = 1, 0
    probabilities[TP][WRONG], probabilities[FP][WRONG] = 0.125, 0.875
    strip, speck = np.s_[2:12, 12:14], np.s_[39, 38:40]
    for area, missing in ((strip, 0.5), (MISSED, 0.75), (speck, 1.0)):
        probabilities[FN][area], probabilities[TN][area] = missing, 1 - missing
    probabilities[FN, 34, 2], probabilities[TN, 34, 2] = 1, 0
    quality = probabilities.argmax(axis=0)
    quality[strip] = FN  # decided before calibration
    return probabilities, quality, mask, np.ones(SIZE, bool)


def find(probabilities, quality, mask, valid, *, cuts=(), rim_px=0, **options):
    """Findings of arrays that come in chunks, cut at the given rows."""
    known = np.where(valid, probabilities, np.nan)
    codes = np.where(valid, quality, 255).astype(np.uint8)

    def rows():
        for top, bottom in itertools.pairwise([0, *cuts, len(mask)]):
            true, false, _, missing = known[:, top:bottom]
            yield JudgedRows(codes[top:bottom], mask[top:bottom], true, missing, false + missing)

    found = gather_findings(rows(), rim_px=rim_px, **options)
    return SimpleNamespace(errors=each_of(found.errors), objects=each_of(found.objects))


def by_number(found):
    return sorted(found.objects, key=lambda each: each.object)


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3, 12, 13), tuple(range(1, 40))], ids=["whole", "two", "some", "rows"])
def test_objects_of_the_mask_and_missed_ones(scene, cuts):
    right, wrong, missed = by_number(find(*scene, cuts=cuts, pixel_area_m2=0.25))
    assert (right.verdict, wrong.verdict, missed.verdict) == ("right", "wrong", "missed")
    assert (right.area_px, right.area_m2) == (100, 25) and (right.top, right.left, right.bottom, right.right) == (2, 2, 12, 12)
    assert (right.x, right.y) == (7, 7) and right.estimated_iou == pytest.approx(100 / 110)
    assert (right.expected_tp_px, right.expected_fn_px, right.expected_errors_px) == (100, 10, 10)
    assert right.mean_error == right.max_error == 0
    assert wrong.estimated_iou == pytest.approx(0.125) and wrong.mean_error == wrong.max_error == 0.875
    assert wrong.expected_errors_px == pytest.approx(50 * 0.875) and (wrong.x, wrong.y) == (22.5, 25)
    assert math.isnan(missed.estimated_iou) and missed.area_px == 30 and missed.expected_tp_px == 0
    assert missed.expected_fn_px == missed.expected_errors_px == pytest.approx(29 * 0.75 + 1)
    assert missed.mean_error == pytest.approx((29 * 0.75 + 1) / 30) and missed.max_error == 1
    assert (missed.top, missed.left, missed.bottom, missed.right) == (34, 2, 39, 8)
    assert right.outline.equals(shapely.box(2, 2, 12, 12)) and missed.outline.equals(shapely.box(2, 34, 8, 39))


@pytest.mark.parametrize("cuts", [(), (5, 21, 36)], ids=["whole", "chunks"])
def test_errors_come_worst_first_and_know_their_object(scene, cuts):
    found = find(*scene, cuts=cuts, pixel_area_m2=0.25, min_area=2)
    about = [(each.error, each.quality, each.object, each.area_px, each.area_m2) for each in found.errors]
    objects = {each.verdict: each.object for each in found.objects if each.area_px > 2}
    assert about == [
        (1, "FP", objects["wrong"], 50, 12.5),
        (2, "FN", 0, 30, 7.5),
        (3, "FN", 0, 20, 5.0),
        (4, "FN", 0, 2, 0.5),
    ]
    assert found.errors[0].outline.equals(shapely.box(20, 20, 25, 30)) and found.errors[0].mean_error == 0.875
    assert found.errors[1].max_error == 1 and found.errors[1].expected_errors_px == pytest.approx(29 * 0.75 + 1)
    assert [each.area_px for each in find(*scene, min_area=25).errors] == [50, 30]


@pytest.mark.parametrize("min_area", [1, 15])
def test_chunks_do_not_matter(min_area):
    """Against the objects of the whole raster, on a scene with many objects and errors."""
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.random((150, 130)), 3) > 0.51
    wrong = (ndimage.gaussian_filter(rng.random(mask.shape), 2) * 9 - 4).clip(0, 1).astype(np.float32)
    probabilities = np.stack([mask * (1 - wrong), mask * wrong, ~mask * (1 - wrong), ~mask * wrong])
    valid = np.ones(mask.shape, bool)
    valid[60:70, 20:50] = False
    quality = probabilities.argmax(axis=0)
    whole = find(probabilities, quality, mask, valid, min_area=min_area, rim_px=2)
    objects = MaskObjects.of(mask, valid)
    expected = estimated_object_iou(objects, probabilities, quality, valid)[objects.area >= min_area]
    drawn = [each.estimated_iou for each in by_number(whole) if each.verdict != "missed"]
    assert len(drawn) > 15 and drawn == pytest.approx(expected)
    for cuts in ((75,), (40, 45, 110), tuple(range(7, 150, 7))):
        parts = find(probabilities, quality, mask, valid, cuts=cuts, min_area=min_area, rim_px=2)
        for kind in ("objects", "errors"):
            for one, other in zip(getattr(whole, kind), getattr(parts, kind), strict=True):
                numbers = {name: value for name, value in vars(one).items() if name != "outline"}
                assert {name: getattr(other, name) for name in numbers} == pytest.approx(numbers, nan_ok=True)
                assert one.outline.equals(other.outline) and one.outline.area == one.area_px
    for code, name in ((FP, "FP"), (FN, "FN")):
        pixels = ((quality == code) & valid).sum()
        found = sum(each.area_px for each in whole.errors if each.quality == name)
        assert pixels > 500 and (found == pixels if min_area == 1 else found < pixels)


@pytest.mark.parametrize("cuts", [(), (9, 10, 24), tuple(range(1, 40))], ids=["whole", "chunks", "rows"])
def test_rims_are_apart_from_areas(cuts):
    """A missed object of 12 x 10 pixels, and rims of 2 pixels around two objects, all of which touch."""
    mask = np.zeros(SIZE, bool)
    mask[22:34, 3:15] = mask[22:34, 19:31] = True
    missing = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=2) & ~mask
    missing[8:20, 3:13] = True
    probabilities = np.zeros((4, *SIZE), np.float32)
    probabilities[TP], probabilities[FN], probabilities[TN] = mask, missing, ~mask & ~missing
    scene = probabilities, probabilities.argmax(axis=0), mask, np.ones(SIZE, bool)
    (only,) = find(*scene, cuts=cuts).errors
    regions = find(*scene, cuts=cuts, rim_px=3, min_area=1).errors
    assert only.area_px == missing.sum() == sum(region.area_px for region in regions)
    (area,) = [region for region in regions if region.form == "area"]
    # The disc rounds its corners off, and reaches into the rim below.
    assert 100 <= area.area_px <= 140 and shapely.box(2, 8, 14, 22).contains(area.outline)
    with pytest.raises(ConfigError, match=r"output.rim_px must lie in \[0, 8\], not 9"):
        gather_findings([], rim_px=9)


def test_pixels_that_touch_at_a_corner_are_one_error():
    codes = np.full((6, 6), TN, np.uint8)
    codes[1, 1] = codes[2, 2] = codes[3, 1] = FN
    error = np.where(codes == FN, 0.9, 0.0)
    parts = (np.s_[row : row + 1] for row in range(6))
    rows = (JudgedRows(codes[part], np.zeros((1, 6), bool), error[part] * 0, error[part], error[part]) for part in parts)
    (only,) = each_of(gather_findings(rows, rim_px=0, min_area=1).errors)
    assert only.area_px == 3 == only.outline.area and only.outline.is_valid and only.outline.geom_type == "MultiPolygon"


def test_the_smallest_area(scene):
    assert [each.area_px for each in by_number(find(*scene, min_area=1))] == [1, 100, 50, 30]
    assert [(each.object, each.area_px) for each in by_number(find(*scene, min_area=40))] == [(1, 100), (2, 50)]


def test_what_is_not_valid_is_no_object(scene):
    probabilities, quality, mask, valid = scene
    valid[2:12, 2:7] = False
    valid[20:30, 20:22] = False
    right, wrong, missed = by_number(find(probabilities, quality, mask, valid))
    assert (right.area_px, right.left, wrong.area_px, wrong.left) == (50, 7, 30, 22)
    assert all(np.isfinite([each.expected_errors_px, each.mean_error, each.max_error]).all() for each in (right, wrong, missed))


def test_verdicts():
    assert verdicts(np.array([0, 0.499, 0.5, 0.749, 0.75, 1])).tolist() == ["wrong"] * 2 + ["partly wrong"] * 2 + ["right"] * 2


def test_nothing_there():
    nothing = np.zeros(SIZE, bool)
    probabilities = np.zeros((4, *SIZE), np.float32)
    probabilities[TN] = 1
    for valid in (nothing, ~nothing):
        found = find(probabilities, np.full(SIZE, TN), nothing, valid, cuts=(20,))
        assert found.objects == [] and found.errors == []
    nothing = gather_findings([])
    assert len(nothing.objects) == len(nothing.errors) == len(nothing.polygons) == 0
