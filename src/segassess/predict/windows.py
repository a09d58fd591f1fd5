"""Assess windows of an image and its masks with any network; imports no torch."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segassess.models.calibration import Calibration
from segassess.predict.blending import Predict
from segassess.predict.probe_squares import judge_with_probe_squares
from segassess.predict.tiling import Area
from segassess.quality import NUM_CLASSES


class WindowNetwork(Protocol):
    """Assesses windows of any size: `TorchNetwork` or `OnnxNetwork`."""

    def encode(self, images: NDArray[np.float32]) -> Any:
        """Encode images, float32 (B, 3, h, w) in [0, 1], for any number of masks."""

    def probabilities(self, features: Any, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality probabilities float32 (B, 4, h, w), not calibrated, of masks, float32 (B, 1, h, w) in {0, 1}."""


class ReadsImage(Protocol):
    """Reads pixels, float32 (h, w, 3) in [0, 1], and where there is data, bool (h, w); see `ImageFile.read`."""

    def __call__(self, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window."""


class ReadsMask(Protocol):
    """Reads the foreground, bool (h, w), and where there is data, bool (h, w); see `RasterMask.read`."""

    def __call__(self, rows: slice, columns: slice = ...) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read a window."""


class JoinsFit(Protocol):
    """Joins what the fit to a mask's layer says with an assessor's answer; see `predict.fit.scene_fit`."""

    @property
    def calibration(self) -> Calibration:
        """Decides on joined probabilities."""

    @property
    def identity(self) -> str:
        """Text that changes with all that a result depends on."""

    def reference(self, area: Area, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reference map, float32 (h, w) in [0, 1], of a window with `pixels` (h, w, 3)."""

    def join(self, probabilities: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Joined quality probabilities (4, h, w)."""


class RowsOnce:
    """Reads windows of planes from top to bottom, each row once; keeps the rows that were asked for last."""

    def __init__(self, read: Callable[[slice], tuple[NDArray[Any], NDArray[Any]]]) -> None:
        self._read = read
        self._top = self._bottom = 0
        self._planes: tuple[NDArray[Any], ...] = ()

    def __call__(self, rows: slice, columns: slice = slice(None)) -> tuple[NDArray[Any], NDArray[Any]]:
        """Both planes in a window, each (h, w); such as foreground and validity of a mask."""
        if rows.start < self._top or rows.stop > self._bottom:
            follows = self._top <= rows.start < self._bottom
            planes: tuple[NDArray[Any], ...] = self._read(slice(self._bottom if follows else rows.start, rows.stop))
            if follows:
                kept = (plane[rows.start - self._top :] for plane in self._planes)
                planes = tuple(map(np.concatenate, zip(kept, planes, strict=True)))
            self._planes, self._top, self._bottom = planes, rows.start, rows.stop
        part = slice(rows.start - self._top, rows.stop - self._top)
        first, second = (plane[part, columns] for plane in self._planes)
        return first, second


def assess_windows(
    network: WindowNetwork,
    image: ReadsImage,
    masks: Sequence[ReadsMask],
    fits: Sequence[JoinsFit | None],
    *,
    probe_squares: bool,
) -> Predict:
    """Make a `Predict` for masks of one image, each window of which is encoded once for all of them.

    It gives, for each mask, float32 (4, h, w) that sum to 1 over the classes; NaN where image or mask has no data. `fits` are
    those of the masks' layers; a mask with one has its reference map as a fifth plane. See `predict.probe_squares` for the flag.
    """

    def predict(areas: Sequence[Area]) -> list[list[NDArray[np.float32]]]:
        images = [image(*area) for area in areas]
        size = images[0][1].shape
        empty = [np.full((NUM_CLASSES + (fit is not None), *size), np.nan, np.float32) for fit in fits]
        answers = [list(empty) for _ in areas]
        # Orthophotos are rectangular and cities are not: many windows have nothing to judge.
        filled = [index for index, (_, valid) in enumerate(images) if valid.any()]
        if not filled:
            return answers
        features = network.encode(np.stack([images[index][0].transpose(2, 0, 1) for index in filled]))

        def judge(foregrounds: NDArray[np.bool_]) -> NDArray[np.float32]:
            return network.probabilities(features, foregrounds[:, None].astype(np.float32))

        for number, (mask, fit) in enumerate(zip(masks, fits, strict=True)):
            pixels = [mask(*areas[index]) for index in filled]
            foregrounds = np.stack([foreground for foreground, _ in pixels])
            probabilities = judge_with_probe_squares(judge, foregrounds) if probe_squares else judge(foregrounds)
            for index, one, (_, known) in zip(filled, probabilities, pixels, strict=True):
                image_pixels, valid = images[index]
                if fit is not None:
                    reference = fit.reference(areas[index], image_pixels)
                    one = np.concatenate([fit.join(one, reference), reference[None]])
                answers[index][number] = np.where(valid & known, one, np.float32(np.nan))
        return answers

    return predict
