"""Augmented Mixup Sampling against facts recorded from the published implementation."""

import json
from pathlib import Path

import pytest
import torch

from segassess.data.ams import Dihedral, draw_views, mixing_order

GOLDEN = json.loads((Path(__file__).parents[1] / "parity" / "loss.json").read_text())["ams"]


def test_draws_and_order_are_the_reference_s():
    torch.manual_seed(7)
    views = draw_views(images=4, views=4)
    assert [[[view.turns, view.mirror] for view in row] for row in views] == GOLDEN["seed7_transform_params"]
    order = mixing_order(16)
    assert order == GOLDEN["seed7_randperm16"]
    names = [name for name in "abcd" for _ in range(4)]
    assert [names[position] for position in order] == GOLDEN["names_shuffled"]


def test_turning_comes_before_mirroring():
    planes = torch.arange(6.0).reshape(1, 2, 3)
    turned = torch.rot90(planes, 1, dims=(-2, -1))
    assert torch.equal(Dihedral(1, 0).apply(planes), turned)
    assert torch.equal(Dihedral(1, 1).apply(planes), turned.flip(-1))
    assert torch.equal(Dihedral(1, 2).apply(planes), turned.flip(-2))


def test_the_twelve_pairs_are_the_eight_symmetries():
    square = torch.arange(9.0).reshape(1, 3, 3)
    seen = [tuple(Dihedral(k, f).apply(square).flatten().tolist()) for k in range(4) for f in range(3)]
    counts = sorted(seen.count(view) for view in set(seen))
    assert counts == [1, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("count", [1, 5])
def test_mixing_is_a_permutation(count):
    assert sorted(mixing_order(count, torch.Generator().manual_seed(3))) == list(range(count))
