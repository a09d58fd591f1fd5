"""Optional photometric and geometric augmentation; the only module that imports albumentations."""

import os
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# By default, albumentations asks PyPI for its newest version at import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A

_LIKE = "like"

Planes: TypeAlias = dict[str, NDArray[np.uint8]]
Augmentation: TypeAlias = Callable[[Planes, int], Planes]


def build_augmentation(photometric: float, geometric: float) -> Augmentation | None:
    """Build a function (planes, seed) -> planes that augments an image together with its masks; None if both arguments are 0.

    `photometric` is the probability in [0, 1] of each colour, blur, noise or compression change, `geometric` that of a small
    scaling, rotation and shift. Planes are {"image": uint8 (H, W, 3), "mask", "truth", "valid": uint8 (H, W) in {0, 1}}; pixels
    from outside the image are not valid.
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


def recoloured(image: NDArray[np.uint8], like: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """`image` with the histogram of each band matched to that of `like`, blended with the original by `share` in [0, 1].

    Images are uint8 (H, W, 3), of any size each; the result has that of `image`.
    """
    matching = A.HistogramMatching(metadata_key=_LIKE, blend_ratio=(share, share), p=1)
    return np.asarray(A.Compose([matching])(image=image, **{_LIKE: [like]})["image"], np.uint8)
