"""Typed samples and batches; a batch checks its own shapes and dtypes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Sample:
    """One mask of one image."""

    image: NDArray[np.uint8]  # (H, W, 3), RGB
    mask: NDArray[np.bool_]  # (H, W), the mask to assess
    truth: NDArray[np.bool_] | None  # (H, W)
    valid: NDArray[np.bool_]  # (H, W), pixels that count
    name: str  # of the tile
    source: str  # of the mask


@dataclass(frozen=True)
class Batch:
    """Masks with their images; raises ValueError for wrong shapes or dtypes."""

    image: Tensor  # float32 (B, 3, H, W) in [0, 1]
    mask: Tensor  # float32 (B, 1, H, W) in {0, 1}
    truth: Tensor | None  # float32 (B, 1, H, W) in {0, 1}
    valid: Tensor  # bool (B, 1, H, W), pixels that count
    name: list[str]  # B names of tiles
    source: list[str]  # B sources of masks

    def __post_init__(self) -> None:
        size, count = self.image.shape[-2:], self.image.shape[0]
        if self.image.dtype != torch.float32 or tuple(self.image.shape) != (count, 3, *size):
            raise ValueError(f"image must be float32 (B, 3, H, W), not {self.image.dtype} {tuple(self.image.shape)}.")
        planes = (("mask", self.mask, torch.float32), ("truth", self.truth, torch.float32), ("valid", self.valid, torch.bool))
        for label, tensor, dtype in planes:
            if tensor is not None and (tensor.dtype != dtype or tuple(tensor.shape) != (count, 1, *size)):
                raise ValueError(f"{label} must be {dtype} {(count, 1, *size)}, not {tensor.dtype} {tuple(tensor.shape)}.")
        if not len(self.name) == len(self.source) == count:
            raise ValueError(f"{count} images need {count} names and sources, not {len(self.name)} and {len(self.source)}.")

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def one_image(self) -> bool:
        """Whether all masks belong to one unaugmented image, which then needs to be encoded only once."""
        return len(self) > 1 and len(set(self.name)) == 1 and bool((self.image[1:] == self.image[:1]).all())

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """Move the batch to a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Pin the memory of the batch; PyTorch's loader calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        truth = None if self.truth is None else change(self.truth)
        return replace(self, image=change(self.image), mask=change(self.mask), truth=truth, valid=change(self.valid))


def padded(plane: NDArray[T], height: int, width: int) -> NDArray[T]:
    """(H, W) or (H, W, C) padded with 0 at the bottom and right."""
    return np.pad(plane, [(0, height - plane.shape[0]), (0, width - plane.shape[1])] + [(0, 0)] * (plane.ndim - 2))


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch; pad smaller ones at the bottom and right with pixels that do not count."""
    height = max(sample.mask.shape[0] for sample in samples)
    width = max(sample.mask.shape[1] for sample in samples)

    def plane(array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(padded(array, height, width)))
        return tensor.permute(2, 0, 1) if array.ndim == 3 else tensor.unsqueeze(0)

    truths = [sample.truth for sample in samples if sample.truth is not None]
    return Batch(
        image=torch.stack([plane(sample.image) for sample in samples]).float() / 255,
        mask=torch.stack([plane(sample.mask) for sample in samples]).float(),
        truth=torch.stack([plane(truth) for truth in truths]).float() if len(truths) == len(samples) else None,
        valid=torch.stack([plane(sample.valid) for sample in samples]),
        name=[sample.name for sample in samples],
        source=[sample.source for sample in samples],
    )
