"""PyTorch networks on windows of a raster: an assessor's quality probabilities, a segmenter's probability of the object."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segassess import quality
from segassess.models.assessor.base import Assessor, ImageFeatures
from segassess.models.assessor.encoders.lite_stages import LiteStages
from segassess.models.segmenters.base import Segmenter
from segassess.predict.blending import predict_raster
from segassess.predict.tiling import Area, Tiling
from segassess.quality import Decoding


class TorchNetwork:
    """An assessor, already on `device`, as `WindowNetwork`; pads as the assessor does.

    An EfficientNet-Lite runs as a copy with folded normalisation, which is faster and equal up to rounding.
    """

    def __init__(self, assessor: Assessor, decoding: Decoding, device: torch.device) -> None:
        self.assessor, self.decoding, self.device = _folded(assessor), decoding, device

    def __getstate__(self) -> dict[str, Any]:
        """To another process it travels on the CPU, which may have another number of GPUs."""
        return {**vars(self), "assessor": deepcopy(self.assessor).cpu()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """It goes on where that process has its device."""
        vars(self).update(state)
        self.assessor.to(self.device)

    @torch.inference_mode()
    def encode(self, images: NDArray[np.float32]) -> ImageFeatures:
        """See `WindowNetwork`."""
        return self.assessor.encode_image(torch.from_numpy(images).to(self.device))

    @torch.inference_mode()
    def probabilities(self, features: ImageFeatures, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `WindowNetwork`."""
        planes = torch.from_numpy(masks).to(self.device)
        logits = self.assessor.assess(features, planes).quality_logits.float()
        return np.asarray(quality.probabilities(logits, planes, self.decoding).cpu().numpy())


def _folded(assessor: Assessor) -> Assessor:
    """The assessor, or a copy with what `LiteStages.fold_norms` does; only copied if needed, since not all can be."""
    if not any(isinstance(module, LiteStages) for module in assessor.modules()):
        return assessor
    copy = deepcopy(assessor)
    for module in copy.modules():
        if isinstance(module, LiteStages):
            module.fold_norms()
    return copy


def segment_raster(
    segmenter: Segmenter,
    image: NDArray[np.float32],
    device: torch.device,
    tiling: Tiling = Tiling(window=1024),  # noqa: B008  # it is frozen
    on_window: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """Probability of the object, float32 (H, W) in [0, 1], in an image float32 (H, W, 3) in [0, 1].

    The segmenter is on `device` and in evaluation mode.
    """

    @torch.inference_mode()
    def predict(areas: Sequence[Area]) -> list[list[NDArray[np.float32]]]:
        batch = np.stack([image[area].transpose(2, 0, 1) for area in areas])
        probabilities = segmenter.probability(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        return [[one] for one in probabilities]

    (probability,) = predict_raster((image.shape[0], image.shape[1]), predict, tiling, on_window)
    return probability.reshape(image.shape[:2])
