"""Networks on windows of a raster: quality probabilities of masks, and a segmenter's probability of the object."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segassess import quality
from segassess.models.assessor.base import Assessor
from segassess.models.segmenters.base import Segmenter
from segassess.predict.probe_squares import judge_with_probe_squares
from segassess.predict.tiling import Area, Predict, Tiling, padded_batch, predict_raster
from segassess.quality import NUM_CLASSES, Decoding


class ReadsImage(Protocol):
    """Answers with pixels float32 (h, w, 3) in [0, 1] and bool (h, w), where there are data; see `ImageFile.read`."""

    def __call__(self, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window."""


class ReadsMask(Protocol):
    """Answers with the foreground bool (h, w) and bool (h, w), where there are data; see `RasterMask.read`."""

    def __call__(self, rows: slice, columns: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read a window."""


def assess_windows(
    assessor: Assessor,
    image: ReadsImage,
    masks: Sequence[ReadsMask],
    decoding: Decoding,
    device: torch.device,
    *,
    probe_squares: bool = True,
) -> Predict:
    """Quality probabilities of several masks of one image; each window of the image is encoded once for all of them.

    Args:
        assessor: the network, on `device`.
        image: reads windows of the image.
        masks: read windows of the masks.
        decoding: "consistent" or "free".
        device: where to compute.
        probe_squares: see `predict.probe_squares`.

    Returns:
        Predicts, for each mask, float32 (4, h, w) summing to 1 over the classes; NaN where image or mask has no data.
    """
    multiple = assessor.pad_multiple

    @torch.inference_mode()
    def predict(areas: Sequence[Area]) -> list[list[NDArray[np.float32]]]:
        images = [image(*area) for area in areas]
        height, width = images[0][1].shape
        empty = np.full((NUM_CLASSES, height, width), np.nan, np.float32)
        answers = [[empty] * len(masks) for _ in areas]
        # Cities are not rectangular, and their orthophotos are: much of a raster may have nothing to judge.
        filled = [index for index, (_, valid) in enumerate(images) if valid.any()]
        if not filled:
            return answers
        features = assessor.encode_image(_batch([images[index][0].transpose(2, 0, 1) for index in filled], device, multiple))

        def judge(foregrounds: NDArray[np.bool_]) -> NDArray[np.float32]:
            planes = _batch([foreground.astype(np.float32)[None] for foreground in foregrounds], device, multiple)
            logits = assessor.assess(features, planes).quality_logits.float()
            return np.asarray(quality.probabilities(logits, planes, decoding)[..., :height, :width].cpu().numpy())

        for number, mask in enumerate(masks):
            pixels = [mask(*areas[index]) for index in filled]
            foregrounds = np.stack([foreground for foreground, _ in pixels])
            probabilities = judge_with_probe_squares(judge, foregrounds) if probe_squares else judge(foregrounds)
            for index, one, (_, known) in zip(filled, probabilities, pixels, strict=True):
                answers[index][number] = np.where(images[index][1] & known, one, np.float32(np.nan))
        return answers

    return predict


def segment_raster(
    segmenter: Segmenter,
    image: NDArray[np.float32],
    device: torch.device,
    tiling: Tiling = Tiling(window=1024),  # noqa: B008  # it is frozen
    on_window: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """Probability of the object.

    Args:
        segmenter: the network, on `device`, in evaluation mode.
        image: float32 (H, W, 3) in [0, 1].
        device: where to compute.
        tiling: of the windows.
        on_window: called after each window.

    Returns:
        float32 (H, W) in [0, 1].
    """

    @torch.inference_mode()
    def predict(areas: Sequence[Area]) -> list[list[NDArray[np.float32]]]:
        height, width = image[areas[0]].shape[:2]
        batch = _batch([image[area].transpose(2, 0, 1) for area in areas], device, segmenter.pad_multiple)
        probabilities = segmenter.probability(batch)[..., :height, :width].float().cpu().numpy()
        return [[one] for one in probabilities]

    (probability,) = predict_raster((image.shape[0], image.shape[1]), predict, tiling, on_window)
    return probability.reshape(image.shape[:2])


def _batch(planes: Sequence[NDArray[np.float32]], device: torch.device, multiple: int) -> Tensor:
    """(C, h, w) arrays as a batch, see `padded_batch`."""
    return torch.from_numpy(padded_batch(planes, multiple)).to(device)
