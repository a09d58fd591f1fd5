"""Augmented Mixup Sampling (AMS): one independently augmented view per source, mixed and shuffled within the batch.

The dihedral augmentation, its order of random draws and the final shuffle are the reference's (`tools/setting_utils.py` of
`Yangbn97/SegAssess` at 4ccb024): for each image and each view first k in 0..3 quarter turns, then f in {0: none, 1: mirror
left-right, 2: mirror top-bottom}; one permutation over all views of the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dihedral:
    """One of the reference's 12 (quarter turns, mirroring) pairs.

    Attributes:
        turns: quarter turns counter-clockwise, 0 to 3.
        mirror: 0 none, 1 left-right, 2 top-bottom; applied after turning.
    """

    turns: int
    mirror: int

    @classmethod
    def draw(cls, generator: torch.Generator | None = None) -> "Dihedral":
        """Draw turns, then mirror, from a torch generator (None: the global one)."""
        turns = int(torch.randint(0, 4, (1,), generator=generator))
        return cls(turns, int(torch.randint(0, 3, (1,), generator=generator)))

    def apply(self, planes: Tensor) -> Tensor:
        """Turn and mirror (..., H, W); H and W change places for odd turns."""
        turned = torch.rot90(planes, self.turns, dims=(-2, -1))
        return turned if self.mirror == 0 else turned.flip(-1 if self.mirror == 1 else -2)


def draw_views(images: int, views: int, generator: torch.Generator | None = None) -> list[list[Dihedral]]:
    """Independent augmentations: `views` for each of `images` images, drawn image by image."""
    return [[Dihedral.draw(generator) for _ in range(views)] for _ in range(images)]


def mixing_order(count: int, generator: torch.Generator | None = None) -> list[int]:
    """The shuffle that mixes all views of a batch: a permutation of range(count)."""
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order
