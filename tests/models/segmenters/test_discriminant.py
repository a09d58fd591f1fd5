"""The discriminant segmenter: learns what colour and texture tell, honestly fails beyond."""

import numpy as np
import pytest

from segassess.data.discriminant import DiscriminantSegmenter, pixel_features
from segassess.errors import InputError
from segassess.synthetic import make_scene


def blocks(seed, size=64):
    """Bright boxes on a dark, noisy ground, and their truth."""
    rng = np.random.default_rng(seed)
    image = rng.normal(80, 12, (size, size, 3))
    truth = np.zeros((size, size), bool)
    for _ in range(3):
        top, left = rng.integers(0, size - 20, 2)
        truth[top : top + 16, left : left + 18] = True
    image[truth] += 70
    return image.clip(0, 255).astype(np.uint8), truth


def fitted(components=2, seed=0):
    images, truths = zip(*(blocks(seed) for seed in range(6)), strict=True)
    return DiscriminantSegmenter(components).fit(iter(images), iter(truths), seed)


def iou(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize("components", [1, 4])
def test_learns_an_easy_task(components):
    segmenter = fitted(components)
    for seed in range(50, 54):
        image, truth = blocks(seed)
        mask = segmenter.predict(image)
        assert mask.dtype == np.bool_ and mask.shape == truth.shape
        assert iou(mask, truth) > 0.8


def test_probability_is_a_probability():
    probability = fitted().probability(blocks(60)[0])
    assert probability.dtype == np.float32 and probability.shape == (64, 64)
    assert 0 <= probability.min() < 0.1 and 0.9 < probability.max() <= 1


def test_matches_the_closed_form_of_one_gaussian_per_class():
    """With one component per class the logit is the textbook quadratic discriminant."""
    segmenter = fitted(1)
    image = blocks(61)[0]
    x = (pixel_features(image).reshape(-1, 14) - segmenter._centre) / segmenter._scale
    logs = []
    for mixture in segmenter._classes:
        mean, covariance = mixture.means[0], mixture.covariances[0]
        centred = x - mean
        mahalanobis = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(covariance), centred)
        logs.append(-0.5 * (mahalanobis + np.linalg.slogdet(covariance)[1]))
    logit = logs[1] - logs[0] + np.log(segmenter._prior / (1 - segmenter._prior))
    expected = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    assert np.allclose(segmenter.probability(image).ravel(), expected, atol=2e-3)


def test_same_seed_same_segmenter():
    image = blocks(62)[0]
    first, same, other = (fitted(seed=seed).probability(image) for seed in (3, 3, 4))
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_is_better_than_chance_on_scenes_but_not_perfect():
    scenes = [make_scene(seed, 128) for seed in range(12)]
    segmenter = DiscriminantSegmenter().fit((s.image for s in scenes), (s.truth["building"] for s in scenes), 0)
    unseen = [make_scene(seed, 128) for seed in range(100, 110)]
    masks = [segmenter.predict(scene.image) for scene in unseen]
    truths = [scene.truth["building"] for scene in unseen]
    pooled = iou(np.array(masks), np.array(truths))
    assert np.mean(truths) + 0.08 < pooled < 0.9


def test_specks_are_removed():
    image, truth = blocks(63)
    rng = np.random.default_rng(0)
    segmenter = fitted()
    segmenter.speck_px = 0
    noisy = image.copy()
    noisy[rng.random(truth.shape) < 0.04] = 230
    before = segmenter.predict(noisy)
    segmenter.speck_px = 10**6
    after = segmenter.predict(noisy)
    assert before.any() and not after.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (37, 11)])
def test_any_size(shape):
    assert fitted().predict(np.full((*shape, 3), 90, np.uint8)).shape == shape


def test_wrong_use_is_named():
    image, truth = blocks(0)
    with pytest.raises(InputError, match="fit first"):
        DiscriminantSegmenter().probability(image)
    with pytest.raises(InputError, match="both objects and background"):
        DiscriminantSegmenter().fit([image], [np.zeros_like(truth)], 0)
    with pytest.raises(InputError, match="the same size"):
        DiscriminantSegmenter().fit([image], [truth[:-1]], 0)
    with pytest.raises(InputError, match="components=0"):
        DiscriminantSegmenter(0)
    with pytest.raises(InputError, match="uint8"):
        fitted().probability(image.astype(np.float32))


def test_small_holes_are_filled_and_the_border_is_left_alone():
    from segassess.data.discriminant import _without_specks

    mask = np.ones((30, 30), bool)
    mask[10:13, 10:13] = False  # a hole of 9 pixels
    mask[:3, :3] = False  # a corner of the background, cut by the border
    filled = mask | ~_without_specks(~mask, 40, keep_at_border=True)
    assert filled[10:13, 10:13].all() and not filled[:3, :3].any()
