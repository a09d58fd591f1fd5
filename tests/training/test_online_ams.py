"""AMS inside the training step, against facts recorded from the published implementation and against its own parts."""

import json
from pathlib import Path

import pytest
import torch

from segassess.data.ams import Dihedral
from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.training.online_ams import OnlineAms
from tests.models.segmenters.stubs import fitted, stored

GOLDEN = json.loads((Path(__file__).parents[1] / "parity" / "loss.json").read_text())["ams"]
LEVELS = (0.2, 0.4, 0.6, 0.8)


def batch(count: int, height: int, width: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 3, height, width, generator=generator)
    truth = (image[:, 1:2] > 0.5).float()
    valid = image[:, 2:3] > 0.1
    return Batch(image, torch.zeros_like(truth), truth, valid, list("abcdefgh"[:count]), ["truth"] * count)


def keys(names) -> dict[str, str]:
    return {name: f"train/{name}" for name in names}


def four() -> list:
    return [fitted(stored(level, name=f"at{level}")) for level in LEVELS]


def test_views_masks_and_order_are_the_reference_s():
    given = batch(4, 40, 40)
    torch.manual_seed(7)
    views = OnlineAms(four(), keys(given.name), cross_fit=True)(given)
    assert list(views.image.shape) == GOLDEN["assess_batch"] and list(views.mask.shape) == GOLDEN["prompt_shape"]
    assert views.name == GOLDEN["names_shuffled"]
    for row, position in enumerate(GOLDEN["seed7_randperm16"]):
        image, view = divmod(position, 4)
        turn = Dihedral(*GOLDEN["seed7_transform_params"][image][view])
        expected = turn.apply(given.image[image])
        assert torch.equal(views.image[row], expected)
        assert torch.equal(views.truth[row], turn.apply(given.truth[image]))
        assert torch.equal(views.valid[row], turn.apply(given.valid[image]))
        # View j goes to segmenter j, which sees the turned image.
        assert views.source[row] == f"at{LEVELS[view]}"
        assert torch.equal(views.mask[row], (expected[:1] > LEVELS[view]).float())


def test_every_tile_is_judged_by_a_network_that_has_not_learned_from_it():
    given = batch(4, 16, 16)
    segmenter = fitted(
        stored(0.1, trained_on=keys("abcd").values()),
        stored(0.3, trained_on=keys("ab").values()),
        stored(0.6, trained_on=keys("cd").values()),
    )
    views = OnlineAms([segmenter], keys(given.name), cross_fit=True)(given)
    levels = {"a": 0.6, "b": 0.6, "c": 0.3, "d": 0.3}
    for name, image, mask in zip(views.name, views.image, views.mask, strict=True):
        assert torch.equal(mask, (image[:1] > levels[name]).float())


def test_images_that_are_not_square_get_pixels_that_do_not_count():
    given = batch(2, 12, 20)
    views = OnlineAms(four(), keys(given.name), cross_fit=True)(given)
    assert views.image.shape == (8, 3, 20, 20)
    assert int(views.valid.sum()) == 4 * int(given.valid.sum())
    assert float(views.truth.sum()) == 4 * float(given.truth.sum())


def test_seen_tiles_are_refused_unless_told_otherwise():
    networks = [fitted(stored(0.1, trained_on=keys("ab").values()))]
    with pytest.raises(RequestError, match="All networks of bright have learned from train/a"):
        OnlineAms(networks, keys("ab"), cross_fit=True)
    OnlineAms(networks, keys("ab"), cross_fit=False)
    with pytest.raises(RequestError, match="needs segmenters"):
        OnlineAms([], keys("ab"), cross_fit=True)


def test_no_gradient_reaches_the_segmenters():
    given = batch(2, 8, 8)
    given.image.requires_grad_(True)
    views = OnlineAms(four(), keys(given.name), cross_fit=True)(given)
    assert not views.mask.requires_grad and not views.image.requires_grad
