"""Optional photometric and geometric augmentation; the only module that knows albumentations."""

import os
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# albumentations asks PyPI for its newest version at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A

Planes: TypeAlias = dict[str, NDArray[np.uint8]]
Augmentation: TypeAlias = Callable[[Planes, int], Planes]


def build_augmentation(photometric: float, geometric: float) -> Augmentation | None:
    """Augmentation of an image together with its mask, truth and valid planes.

    Args:
        photometric: probability in [0, 1] of each colour, blur, noise or compression change; 0 switches all off.
        geometric: probability in [0, 1] of a small random scaling, rotation and shift; 0 switches it off.

    Returns:
        A function (planes, seed) -> planes over {"image": uint8 (H, W, 3), "mask", "truth", "valid": uint8 (H, W) in {0, 1}},
        or None if nothing is switched on. Pixels that come from outside the image are not valid.
    """
    steps: list[A.BasicTransform] = []
    if geometric > 0:
        steps.append(A.Affine(scale=(0.75, 1.33), rotate=(-45, 45), translate_percent=(-0.1, 0.1), p=geometric))
    if photometric > 0:
        steps += [
            A.RandomBrightnessContrast(0.25, 0.25, p=photometric),
            A.HueSaturationValue(10, 25, 10, p=photometric),
            A.RandomGamma((75, 130), p=photometric / 2),
            A.GaussianBlur(blur_limit=(3, 5), p=photometric / 3),
            A.GaussNoise(std_range=(0.01, 0.05), p=photometric / 3),
            A.ImageCompression(quality_range=(50, 95), p=photometric / 3),
        ]
    if not steps:
        return None
    compose = A.Compose(steps, additional_targets={"truth": "mask", "valid": "mask"})

    def augment(planes: Planes, seed: int) -> Planes:
        compose.set_random_seed(seed)
        result: Planes = compose(**planes)
        return result

    return augment
