"""Small models of the assessor's tests."""

import torch
from torch import nn

from segassess.models.assessor.checkpoint import REFERENCE_NAMES
from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.assessor.encoders.sam_vit import SamVitEncoder
from segassess.models.assessor.segassess import SegAssess
from tests.parity import rules

TINY = {"dim": 192, "depth": 8, "heads": 4, "global_blocks": (1, 3, 5, 7)}


def to_reference(name: str) -> str:
    """The reference's canonical name of a tensor with our name."""
    for theirs, ours in REFERENCE_NAMES:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def tiny(**switches) -> SegAssess:
    """The goldens' tiny model with random weights."""
    return SegAssess(SamVitEncoder(**TINY), **switches)


def filled_tiny(**switches) -> SegAssess:
    """The goldens' tiny model with the goldens' weights, in evaluation mode."""
    model = tiny(**switches).eval()
    rules.fill(model, to_reference)
    return model


class CnnLikeEncoder(ImageEncoder):
    """Levels of different widths and strides, like those of a convolutional network."""

    def __init__(self, strides=(4, 8, 16, 32), dims=(6, 10, 12, 20), width=32):
        super().__init__()
        self.embedding_dim, self.level_dims, self.level_strides, self.pad_multiple = width, dims, strides, max(strides)
        self.mean, self.std = (0.5, 0.4, 0.3), (0.5, 0.25, 0.2)
        self.stages = nn.ModuleList(nn.Conv2d(3, dim, stride, stride) for dim, stride in zip(dims, strides, strict=True))
        self.head = nn.Conv2d(3, width, 16, 16)

    def forward(self, image):
        return self.head(image), tuple(stage(image) for stage in self.stages)


def scene(height, width, images=1, masks=None):
    """A random image batch and mask batch of this size."""
    image = torch.rand(images, 3, height, width)
    return image, (torch.rand(masks or images, 1, height, width) > 0.5).float()
