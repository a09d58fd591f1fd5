import numpy as np
import pytest
import torch
from scipy import ndimage

from segassess.metrics.segmentation import SegmentationMetrics, boundary_region


def masks(seed: int, *shape: int) -> torch.Tensor:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0, 0, 3, 3))
    return torch.from_numpy(noise > 0)


def test_the_boundary_region_is_the_mask_less_its_erosion():
    mask = masks(1, 2, 1, 60, 80)
    # The diagonal is 100 px, so d = 2.
    for plane, region in zip(mask, boundary_region(mask), strict=True):
        eroded = ndimage.binary_erosion(plane[0].numpy(), np.ones((5, 5)), border_value=0)
        assert np.array_equal(region[0].numpy(), plane[0].numpy() & ~eroded)


def test_small_images_have_a_boundary_of_one_pixel():
    full = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    assert int(boundary_region(full).sum()) == 16


def test_scores_are_pooled_over_images_and_leave_out_what_does_not_count():
    mask, truth, valid = masks(2, 3, 1, 40, 40), masks(3, 3, 1, 40, 40), masks(4, 3, 1, 40, 40)
    metrics = SegmentationMetrics()
    for index in range(3):
        metrics.update(mask[index : index + 1], truth[index : index + 1], valid[index : index + 1])
    scores = metrics.compute()
    inside = [plane[valid].numpy() for plane in (mask, truth)]
    object_iou = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    background_iou = (~inside[0] & ~inside[1]).sum() / (~inside[0] | ~inside[1]).sum()
    assert scores["iou"] == pytest.approx(object_iou)
    assert scores["mean_iou"] == pytest.approx((object_iou + background_iou) / 2)
    edges = [(boundary_region(plane) & valid).numpy() for plane in (mask, truth)]
    assert scores["boundary_iou"] == pytest.approx((edges[0] & edges[1]).sum() / (edges[0] | edges[1]).sum())


def test_nothing_to_count_is_not_a_number():
    metrics = SegmentationMetrics()
    nothing = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    metrics.update(nothing, nothing, ~nothing)
    scores = metrics.compute()
    assert np.isnan(scores["iou"]) and np.isnan(scores["boundary_iou"]) and scores["accuracy"] == 1
