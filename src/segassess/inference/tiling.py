"""Probabilities of whole rasters: in one piece where they fit, else in overlapping windows that are blended."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segassess import quality
from segassess.assessor.base import AssessorOutput, ImageFeatures
from segassess.quality import Decoding
from segassess.segmenters.base import Segmenter
from segassess.training.module import MaskAssessor

# A window: its rows and columns.
Area: TypeAlias = tuple[slice, slice]

WINDOW = 1024
OVERLAP = 128


def windows(length: int, window: int = WINDOW, overlap: int = OVERLAP) -> Iterator[tuple[int, int]]:
    """Start and end of windows that cover [0, length): one if it fits, else equal ones that overlap by at least `overlap`."""
    if length <= window:
        yield 0, length
        return
    count = -(-(length - overlap) // (window - overlap))
    for index in range(count):
        start = round(index * (length - window) / (count - 1))
        yield start, start + window


def _ramp(size: int, start: int, end: int, length: int) -> NDArray[np.float32]:
    """Weights of a window along one axis: rising from its border to 1 over the overlap, but 1 at the raster's own border."""
    position = np.arange(size, dtype=np.float32) + 0.5
    left = np.ones(size, np.float32) if start == 0 else np.clip(position / OVERLAP, 0, 1)
    right = np.ones(size, np.float32) if end == length else np.clip((size - position) / OVERLAP, 0, 1)
    weights: NDArray[np.float32] = np.minimum(left, right)
    return weights


def blend_windows(
    size: tuple[int, int],
    predict: Callable[[Area], Sequence[NDArray[np.float32]]],
    on_window: Callable[[float], None] = lambda share: None,
) -> list[NDArray[np.float32]]:
    """Predict a raster window by window and blend where windows overlap.

    Args:
        size: (H, W) of the raster.
        predict: float32 (C, h, w) arrays for a window, as many for each.
        on_window: called after each window with its share of all windows.

    Returns:
        The arrays of `predict`, each float32 (C, H, W).
    """
    height, width = size
    sums: list[NDArray[np.float32]] = []
    total = np.zeros((height, width), np.float32)
    places = [(rows, columns) for rows in windows(height) for columns in windows(width)]
    for (top, bottom), (left, right) in places:
        area = np.s_[top:bottom, left:right]
        weight = np.outer(_ramp(bottom - top, top, bottom, height), _ramp(right - left, left, right, width))
        parts = predict(area)
        sums = sums or [np.zeros((len(part), height, width), np.float32) for part in parts]
        for result, part in zip(sums, parts, strict=True):
            result[:, top:bottom, left:right] += weight * part
        total[area] += weight
        on_window(1 / len(places))
    for result in sums:
        result /= total
    return sums


@torch.inference_mode()
def assess_raster(
    assessor: MaskAssessor,
    image: NDArray[np.float32],
    masks: Sequence[NDArray[np.bool_]],
    decoding: Decoding,
    device: torch.device,
    on_window: Callable[[float], None] = lambda share: None,
) -> list[NDArray[np.float32]]:
    """Quality probabilities of several masks of one image; each window of the image is encoded once for all of them.

    Args:
        assessor: the network, on `device`.
        image: float32 (H, W, 3) in [0, 1].
        masks: each bool (H, W).
        decoding: "consistent" or "free".
        device: where to compute.
        on_window: called after each window with its share of the image's area.

    Returns:
        For each mask float32 (4, H, W), summing to 1 over the classes.
    """

    def predict(area: Area) -> list[NDArray[np.float32]]:
        features = assessor.encode_image(_planes(image[area], device))
        return [_assess_one(assessor, features, mask[area], decoding, device) for mask in masks]

    return blend_windows((image.shape[0], image.shape[1]), predict, on_window)


@torch.inference_mode()
def segment_raster(segmenter: Segmenter, image: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """Probability of the object.

    Args:
        segmenter: the network, on `device`, in evaluation mode.
        image: float32 (H, W, 3) in [0, 1].
        device: where to compute.

    Returns:
        float32 (H, W) in [0, 1].
    """

    def predict(area: Area) -> list[NDArray[np.float32]]:
        probability: NDArray[np.float32] = segmenter.probability(_planes(image[area], device))[0].float().cpu().numpy()
        return [probability]

    (probability,) = blend_windows((image.shape[0], image.shape[1]), predict)
    return probability.reshape(image.shape[:2])


def _assess_one(
    assessor: MaskAssessor, features: ImageFeatures, mask: NDArray[np.bool_], decoding: Decoding, device: torch.device
) -> NDArray[np.float32]:
    plane = torch.from_numpy(np.ascontiguousarray(mask)).to(device).float()[None, None]
    output: AssessorOutput = assessor.assess(features, plane)
    probabilities = quality.probabilities(output.quality_logits.float(), plane, decoding)[0]
    result: NDArray[np.float32] = probabilities.cpu().numpy()
    return result


def _planes(image: NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)[None]
