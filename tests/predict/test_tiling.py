import itertools

import numpy as np
import pytest

from segassess.errors import ConfigError
from segassess.predict.blending import predict_bands, predict_raster
from segassess.predict.tiling import Tiling

SMALL = Tiling(window=96, overlap=32)
SIZE = (300, 170)


def disagreeing(areas):
    """Answers that depend on the window, so that seams would show."""
    return [[np.full((2, rows.stop - rows.start, columns.stop - columns.start), rows.start + 1000.0 * columns.start, np.float32)]
            for rows, columns in areas]  # fmt: skip


@pytest.mark.parametrize("length", [1, 95, 96, 97, 128, 129, 160, 161, 1000])
def test_windows_cover_everything_and_their_weights_sum_to_one(length):
    spans = SMALL.spans(length)
    total = np.zeros(length)
    for start, end in spans:
        weights = SMALL.weights(start, end, length)
        assert (weights > 0).all() and end - start <= 96
        total[start:end] += weights
    assert total == pytest.approx(1)
    assert [start for start, _ in spans] == [64 * index for index in range(len(spans))]
    bands = SMALL.bands(length)
    assert bands[0][0] == 0 and bands[-1][1] == length
    assert all(above[1] == below[0] for above, below in itertools.pairwise(bands))


def test_what_fits_one_window_is_one_piece():
    image = np.random.default_rng(0).random((3, 96, 50), np.float32)
    (whole,) = predict_raster((96, 50), lambda areas: [[image[:, rows, columns]] for rows, columns in areas], SMALL)
    assert np.array_equal(whole, image)


@pytest.mark.parametrize("tiling", [SMALL, Tiling(64, 0), Tiling(128, 64, 2), Tiling(96, 32, 5)])
def test_agreeing_windows_give_their_common_answer(tiling):
    image = np.random.default_rng(0).random((2, *SIZE), np.float32)
    seen = []
    windows = predict_raster(
        SIZE,
        lambda areas: [[image[:, rows, columns], image[:1, rows, columns]] for rows, columns in areas],
        tiling,
        lambda: seen.append(1),
    )
    assert np.allclose(windows[0], image, atol=1e-6) and np.allclose(windows[1], image[:1], atol=1e-6)
    assert len(seen) == tiling.windows(*SIZE)


def test_seams_are_smooth():
    (whole,) = predict_raster(SIZE, disagreeing, SMALL)
    # From window to window answers rise by 64 over the overlap of 32 rows, and by 64000 over as many columns.
    assert np.abs(np.diff(whole, axis=1)).max() <= 64 / 32 + 1e-2
    assert np.abs(np.diff(whole, axis=2)).max() <= 64000 / 32 * 1.001


@pytest.mark.parametrize("wanted", [{3}, {0, 2}, {1, 2, 4}, set()])
def test_a_band_is_the_same_whichever_others_are_wanted(wanted):
    (whole,) = predict_raster(SIZE, disagreeing, SMALL)
    bands = list(predict_bands(SIZE, disagreeing, SMALL, wanted.__contains__))
    assert {band.index for band in bands} == wanted
    for band in bands:
        assert np.array_equal(band.answers[0], whole[:, band.top : band.bottom])


def test_windows_of_one_size_are_predicted_together():
    sizes = []

    def predict(areas):
        sizes.append(len(areas))
        return disagreeing(areas)

    (batched,) = predict_raster((96, 500), predict, Tiling(96, 32, batch_size=4))
    assert sizes == [4, 3, 1], "the last window is narrower"
    assert np.array_equal(batched, predict_raster((96, 500), disagreeing, SMALL)[0])


@pytest.mark.parametrize("wrong", [{"window": 100}, {"window": 32}, {"overlap": 30}, {"overlap": 64}, {"batch_size": 0}])
def test_wrong_choices(wrong):
    with pytest.raises(ConfigError, match=f"tiling.{next(iter(wrong))}"):
        Tiling(**{"window": 96, "overlap": 32, **wrong})
