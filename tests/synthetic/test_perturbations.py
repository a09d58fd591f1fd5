"""Perturbed masks: every operation does what its name says, recipes are deterministic and spread over the range of IoU."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from segassess.errors import ConfigError, InputError
from segassess.synthetic import make_scene
from segassess.synthetic.perturbations import RECIPES, Recipe, objects, outlines, perturb

DAMAGING = [name for name in RECIPES if name != "intact"]


def rng(seed=0):
    return np.random.default_rng(seed)


def boxes_mask(shape=(120, 160)):
    """Six separate boxes of 20 x 24 pixels, well away from each other and from the border."""
    mask = np.zeros(shape, bool)
    for top in (15, 70):
        for left in (15, 65, 115):
            mask[top : top + 20, left : left + 24] = True
    return mask


@pytest.fixture(scope="module")
def scenes():
    made = (make_scene(seed) for seed in range(30))
    return [(s.image, s.truth["building"]) for s in made if s.truth["building"].mean() > 0.05]


def textured(shape):
    return cv2.GaussianBlur(rng(9).integers(0, 256, (*shape, 3)).astype(np.uint8), (0, 0), 4)


def count(mask):
    return objects.label_objects(mask)[0]


def iou(mask, truth):
    return (mask & truth).sum() / max(1, (mask | truth).sum())


def test_drop_only_removes_whole_objects():
    truth = boxes_mask()
    mask = objects.drop_objects(truth, 0.5, rng(1))
    assert 0 < count(mask) < 6
    assert not (mask & ~truth).any()
    assert mask.sum() == count(mask) * 20 * 24
    assert not objects.drop_objects(truth, 1.0, rng()).any()
    assert np.array_equal(objects.drop_objects(truth, 0.0, rng()), truth)


def test_gaps_take_a_share_of_the_foreground_in_squares():
    road = np.zeros((400, 500), bool)
    road[190:210] = True
    cut = objects.cut_gaps(road, 0.1, 40, rng(1))
    assert not (cut & ~road).any() and 0.08 < 1 - cut.sum() / road.sum() < 0.2
    assert count(cut) >= 2 and np.all(cut[190:210] == cut[200])
    assert not objects.cut_gaps(np.zeros_like(road), 0.1, 40, rng()).any()
    assert iou(perturb(road, textured(road.shape), rng(2), RECIPES["perturbed_gaps"]), road) < 0.92


@pytest.mark.parametrize("empty", [False, True])
def test_copies_only_add_separate_objects(empty):
    truth = np.zeros((120, 160), bool) if empty else boxes_mask()
    mask = objects.invent_copies(truth, 4, (10, 25), rng(2))
    assert (mask & ~truth).any() and not (truth & ~mask).any()
    added = (mask & ~truth).sum()
    # Copies of 480-pixel boxes are scaled by 0.7 to 1.3 in length.
    assert empty or 0.4 * 480 < added < 4 * 1.8 * 480


@pytest.mark.parametrize("empty", [False, True])
def test_regions_only_add_and_follow_the_image(empty):
    truth = np.zeros((120, 160), bool) if empty else boxes_mask()
    image = np.full((120, 160, 3), 60, np.uint8)
    image[:, 80:] = 200
    mask = objects.invent_regions(truth, image, 6, (20, 50), rng(3))
    assert (mask & ~truth).any() and not (truth & ~mask).any()
    # A region grown on one side of the step must not cross it by more than the smoothing of the image.
    _, labels, _ = objects.label_objects(objects.invent_regions(np.zeros_like(truth), image, 1, (40, 50), rng(4)))
    columns = np.flatnonzero((labels > 0).any(axis=0))
    assert columns.max() < 80 + 4 or columns.min() >= 80 - 4


def test_missed_regions_only_remove_and_follow_the_image():
    truth = np.zeros((80, 80), bool)
    truth[10:70, 10:70] = True
    image = np.full((80, 80, 3), 60, np.uint8)
    image[:, 40:] = 200
    mask = objects.miss_regions(truth, image, 1, (60, 60), rng(5))
    lost = truth & ~mask
    assert lost.any() and not (mask & ~truth).any()
    columns = np.flatnonzero(lost.any(axis=0))
    assert columns.max() < 44 or columns.min() >= 36


def test_shift_keeps_area_and_moves():
    truth = boxes_mask()
    mask = objects.shift_objects(truth, 6.0, rng(6))
    assert mask.sum() == truth.sum() and count(mask) == 6
    assert (mask & ~truth).any()
    before, after = (np.array(np.nonzero(m)).mean(axis=1) for m in (truth, mask))
    assert 3 < np.hypot(*(after - before)) < 9


def test_merge_closes_narrow_gaps_only():
    truth = np.zeros((60, 90), bool)
    truth[20:40, 10:30] = truth[20:40, 34:54] = truth[20:40, 70:85] = True
    mask = objects.merge_neighbours(truth, 3)
    assert count(truth) == 3 and count(mask) == 2
    assert not (truth & ~mask).any()


def test_split_cuts_a_strip():
    truth = boxes_mask()
    mask = objects.split_objects(truth, 1.0, 3.0, rng(7))
    assert count(mask) > 6 and not (mask & ~truth).any()
    lost = (truth & ~mask).sum() / truth.sum()
    assert 0.02 < lost < 0.35


def test_bites_take_a_part_of_every_picked_object():
    truth = boxes_mask()
    mask = objects.bite_objects(truth, 1.0, 0.35, rng(8))
    assert not (mask & ~truth).any()
    _, labels, _ = objects.label_objects(truth)
    left = np.array([mask[labels == label].mean() for label in range(1, 7)])
    assert (left < 1).all() and (left > 0.5).all()


def test_fill_holes_fills_what_is_enclosed():
    truth = np.zeros((40, 40), bool)
    truth[5:35, 5:35] = True
    truth[15:20, 15:20] = False  # a hole
    truth[25:30, 25:40] = False  # a bay
    mask = objects.fill_holes(truth)
    assert mask[15:20, 15:20].all() and not mask[25:30, 25:40].any()
    assert mask.sum() == truth.sum() + 25


@pytest.mark.parametrize("pixels", [-3.0, 2.0, 5.0])
def test_offset_moves_the_outline_by_its_distance(pixels):
    truth = np.zeros((80, 80), bool)
    truth[30:50, 25:55] = True
    mask = outlines.offset_outlines(truth, pixels)
    rows = np.flatnonzero(mask[:, 40])
    assert rows.size == pytest.approx(20 + 2 * pixels, abs=1)
    assert (mask.sum() > truth.sum()) == (pixels > 0)
    assert not (truth & ~mask).any() if pixels > 0 else not (mask & ~truth).any()


def test_wobble_stays_near_the_outline_and_changes_it():
    truth = boxes_mask()
    mask = outlines.wobble_outlines(truth, 1.5, 12.0, rng(10))
    changed = mask ^ truth
    assert changed.any()
    assert np.abs(outlines.signed_distance(truth)[changed]).max() < 1.5 * 5
    assert 0.6 < iou(mask, truth) < 0.98


def test_simplify_gives_fewer_corners_and_keeps_holes():
    y, x = np.mgrid[:100, :100]
    ring = (np.hypot(y - 50, x - 50) < 40) & (np.hypot(y - 50, x - 50) > 15)
    mask = outlines.simplify_outlines(ring, 6.0)
    corners = [len(cv2.approxPolyDP(c, 1.0, True)) for c in cv2.findContours(mask.astype(np.uint8), 0, 1)[0]]
    assert len(corners) == 1 and corners[0] <= 8
    assert not mask[50, 50] and iou(mask, ring) > 0.75


def test_round_corners_takes_corners_only():
    truth = boxes_mask()
    mask = outlines.round_corners(truth, 3.0)
    assert not mask[15, 15] and mask[25, 27]
    assert iou(mask, truth) > 0.9


def test_coarsen_loses_detail_that_is_smaller_than_its_pixels():
    truth = np.zeros((96, 96), bool)
    truth[16:48, 16:64] = True
    truth[70:72, 70:72] = True
    mask = outlines.coarsen(truth, 8.0, 0.5, 0.0, rng())
    assert not mask[65:, 65:].any()
    assert 0.75 < iou(mask, truth) < 1
    assert np.array_equal(outlines.coarsen(truth, 1.0, 0.5, 0.3, rng()), truth)


def test_shadows_are_added_where_it_is_dark():
    truth = np.zeros((60, 60), bool)
    truth[20:40, 20:40] = True
    image = np.full((60, 60, 3), 150, np.uint8)
    image[20:40, 40:48] = 20
    mask = outlines.include_shadows(truth, image, 8)
    added = mask & ~truth
    assert added[22:38, 41:46].mean() > 0.9 and not added[:, :20].any()


@pytest.mark.parametrize("name", DAMAGING)
def test_recipes_are_deterministic_and_leave_their_inputs(name, scenes):
    image, truth = scenes[0]
    kept_image, kept_truth = image.copy(), truth.copy()
    first, again, other = (perturb(truth, image, rng(seed), RECIPES[name]) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.dtype == np.bool_ and first is not truth
    assert np.array_equal(image, kept_image) and np.array_equal(truth, kept_truth)


@pytest.mark.parametrize("name", [name for name in DAMAGING if not RECIPES[name].gap_share])
def test_recipes_spread_over_the_range_of_iou(name, scenes):
    values = [iou(perturb(truth, image, rng(seed), RECIPES[name]), truth) for seed in range(6) for image, truth in scenes]
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    assert low < 0.62 and high > 0.8
    assert 0.45 < middle < 0.92


def test_intact_is_the_truth(scenes):
    for seed, (image, truth) in enumerate(scenes):
        mask = perturb(truth, image, rng(seed), RECIPES["intact"])
        assert np.array_equal(mask, truth) and mask is not truth


@pytest.mark.parametrize("name", DAMAGING)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3), (37, 90)])
@pytest.mark.parametrize("value", [False, True])
def test_any_size_empty_and_full(name, shape, value):
    truth = np.full(shape, value)
    for seed in range(8):
        mask = perturb(truth, textured(shape), rng(seed), RECIPES[name])
        assert mask.shape == shape and mask.dtype == np.bool_


@pytest.mark.parametrize("name", ["perturbed", "perturbed_objects", "perturbed_coarse"])
def test_objects_are_invented_on_empty_ground(name):
    truth = np.zeros((128, 128), bool)
    invented = [perturb(truth, textured(truth.shape), rng(seed), RECIPES[name]).any() for seed in range(30)]
    assert 0.3 < np.mean(invented) < 1.0  # sometimes nothing, as a good segmenter finds nothing


def test_outline_recipe_keeps_objects_and_invents_none():
    truth = boxes_mask()
    mild = replace(RECIPES["perturbed_outline"], severity=(0.1, 0.2))
    for seed in range(10):
        assert count(perturb(truth, textured(truth.shape), rng(seed), mild)) == 6
    empty = np.zeros_like(truth)
    assert not perturb(empty, textured(truth.shape), rng(), RECIPES["perturbed_outline"]).any()


def test_an_empty_recipe_changes_nothing_and_severity_orders_the_damage(scenes):
    image, truth = scenes[0]
    assert np.array_equal(perturb(truth, image, rng(), Recipe()), truth)

    def mean_iou(severity):
        recipe = replace(RECIPES["perturbed"], severity=(severity, severity))
        return np.mean([iou(perturb(t, i, rng(seed), recipe), t) for seed, (i, t) in enumerate(scenes)])

    assert mean_iou(0.1) > mean_iou(0.5) > mean_iou(1.0)


@pytest.mark.parametrize(
    "change",
    [{"drop_share": 1.5}, {"chance": -0.1}, {"severity": (0.9, 0.1)}, {"severity": (0.0, 2.0)}, {"coarse_factor": (0.5, 2.0)},
     {"shift_px": -1.0}, {"wobble_scale_px": 0.0}, {"offset_px": float("nan")}],
)  # fmt: skip
def test_recipes_refuse_values_out_of_range(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        Recipe(**change)


def test_inputs_that_do_not_fit_are_refused():
    truth, image = boxes_mask(), textured((120, 160))
    with pytest.raises(InputError, match="Image of shape"):
        perturb(truth, image[:-1], rng(), Recipe())
    with pytest.raises(InputError, match="Truth of shape"):
        perturb(truth.astype(np.uint8), image, rng(), Recipe())


def test_a_mask_of_noise_is_still_quick():
    import time

    truth = rng(11).random((256, 256)) < 0.2
    start = time.process_time()
    perturb(truth, textured((256, 256)), rng(), RECIPES["perturbed"])
    assert time.process_time() - start < 2
