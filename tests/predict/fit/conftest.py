"""Scenes whose objects are easy to learn: bright rectangles on a dark ground."""

import numpy as np
import pytest
import torch

from segassess.options.fit import FitSettings
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.scene import Source
from segassess.raster import Rendering
from tests.cli.scenes import write_tif

CPU = torch.device("cpu")
QUICK = {"steps": 50, "rounds": 1, "crop": 64, "batch_size": 4, "block_px": 128, "guard_px": 8, "learning_rate": 2e-3}


@pytest.fixture
def quick():
    return FitSettings(**QUICK)


def rectangles(side, count, seed=0):
    """Truth bool (side, side), and boxes (count, 4) as top, bottom, left, right."""
    rng = np.random.default_rng(seed)
    truth, boxes = np.zeros((side, side), bool), []
    while len(boxes) < count:
        top, left = rng.integers(4, side - 40, 2)
        height, width = rng.integers(14, 30, 2)
        box = np.s_[top - 4 : top + height + 4, left - 4 : left + width + 4]
        if not truth[box].any():
            truth[top : top + height, left : left + width] = True
            boxes.append((top, top + height, left, left + width))
    return truth, np.array(boxes)


def drawn(truth, seed=0):
    """An image uint8 (H, W, 3) of a truth."""
    noise = np.random.default_rng(seed).integers(0, 60, (*truth.shape, 3))
    return (noise + np.where(truth, 170, 40)[..., None]).astype(np.uint8)


@pytest.fixture
def damaged(tmp_path):
    """A scene of 768 px with 90 objects, of which the mask lacks 10 and to which it adds 10: image, mask, truth and folder."""
    truth, boxes = rectangles(768, 100)
    mask = truth.copy()
    for top, bottom, left, right in boxes[:10]:
        mask[top:bottom, left:right] = False
    for top, bottom, left, right in boxes[10:20]:
        truth[top:bottom, left:right] = False
    write_tif(tmp_path / "image.tif", drawn(truth).transpose(2, 0, 1))
    write_tif(tmp_path / "mask.tif", mask[None].astype(np.uint8))
    return tmp_path / "image.tif", tmp_path / "mask.tif", mask, truth


def layer_of(image, mask, group=0):
    return Layer([LayerScene(str(image), (Source(str(mask)),), group)], Rendering())
