import numpy as np
from scipy import ndimage

from segassess.data.error_mixing import exchanged


def test_each_area_of_the_difference_comes_from_one_mask_as_a_whole():
    rng = np.random.default_rng(0)
    mask, other = (ndimage.gaussian_filter(rng.normal(size=(64, 64)), 3) > 0 for _ in range(2))
    removed, added = (ndimage.label(differs, np.ones((3, 3)))[0] for differs in (mask & ~other, ~mask & other))
    assert removed.max() > 3 and added.max() > 3
    shares = []
    for _ in range(50):
        result = exchanged(mask, other, rng)
        assert np.array_equal(result[mask == other], mask[mask == other])
        for areas in (removed, added):
            for number in range(1, areas.max() + 1):
                assert len(np.unique(result[areas == number])) == 1
        shares.append((result != mask).sum() / (mask != other).sum())
    assert min(shares) < 0.2 and max(shares) > 0.8


def test_equal_masks_stay_and_inputs_are_not_changed():
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    before = mask.copy()
    assert np.array_equal(exchanged(mask, mask, np.random.default_rng(1)), mask)
    for seed in range(5):
        exchanged(mask, np.zeros_like(mask), np.random.default_rng(seed))
    assert np.array_equal(mask, before)
