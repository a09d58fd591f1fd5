"""Pictures of a quality map, and what it says of itself."""

import io

import numpy as np
import pytest
from PIL import Image

from segassess.api import quality_map
from segassess.errors import InputError


def test_a_picture_with_and_without_truth(judge, scene):
    made, masks = scene
    judged = judge.assess(made.image, masks)["perturbed"]
    picture, beside = judged.plot(), judged.plot("with truth", truth=made.truth["building"])
    assert picture.mode == "RGB" and beside.width > picture.width
    with pytest.raises(InputError, match=r"truth.*\(150, 209\)"):
        judged.plot(truth=made.truth["building"][:, 1:])


def test_a_notebook_shows_a_small_picture(judge, scene):
    made, masks = scene
    judged = judge.assess(made.image, masks["perturbed"])
    shown = judged._repr_jpeg_()
    with Image.open(io.BytesIO(shown)) as picture:
        assert picture.width <= 1280
    assert len(shown) < 250_000
    assert repr(judged).startswith("QualityMap('mask', 150 rows x 210 columns, estimated IoU 0.")


def test_a_large_scene_is_shown_reduced(judge, scene, monkeypatch):
    made, masks = scene
    monkeypatch.setattr("segassess.api.judge.OVERVIEW_PIXELS", 150 * 210 // 9)
    assert quality_map.OVERVIEW_PIXELS == 1_000_000
    reduced = judge.assess(made.image, masks["perturbed"])
    assert reduced._overview.shape == (50, 70, 3)
    assert np.array_equal(reduced._reduced(reduced.quality), reduced.quality[::3, ::3])
    assert np.allclose(reduced._overview, made.image[::3, ::3] / 255, atol=1e-6)
