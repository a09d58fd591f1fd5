"""Augmented Mixup Sampling (AMS): one independently augmented view per source, shuffled within the batch.

The order of random draws is that of `tools/setting_utils.py` in `Yangbn97/SegAssess` at 4ccb024: per image and view, first the
quarter turns, then the mirroring; then one permutation over all views of the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dihedral:
    """One of the reference's 12 augmentations; mirroring follows turning."""

    turns: int  # quarter turns counter-clockwise, 0 to 3
    mirror: int  # 0 none, 1 left-right, 2 top-bottom

    @classmethod
    def draw(cls, generator: torch.Generator | None = None) -> "Dihedral":
        """Draw turns, then mirroring; None uses torch's global generator."""
        turns = int(torch.randint(0, 4, (1,), generator=generator))
        return cls(turns, int(torch.randint(0, 3, (1,), generator=generator)))

    def apply(self, planes: Tensor) -> Tensor:
        """Turn and mirror (..., H, W); odd turns swap H and W."""
        turned = torch.rot90(planes, self.turns, dims=(-2, -1))
        return turned if self.mirror == 0 else turned.flip(-1 if self.mirror == 1 else -2)


def draw_views(images: int, views: int, generator: torch.Generator | None = None) -> list[list[Dihedral]]:
    """Draw `views` augmentations for each image, image by image."""
    return [[Dihedral.draw(generator) for _ in range(views)] for _ in range(images)]


def mixing_order(count: int, generator: torch.Generator | None = None) -> list[int]:
    """Draw a permutation of range(count)."""
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order
