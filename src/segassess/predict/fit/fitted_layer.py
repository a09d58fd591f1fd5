"""The networks fitted to a layer, and their reference map: P(object) of each pixel from a network that did not see its label."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segassess.errors import InputError
from segassess.files import file_digest
from segassess.models.assessor.checkpoint import load_weights, read_tensors
from segassess.options.fit import FitSettings
from segassess.predict.fit.blocks import Blocks
from segassess.predict.fit.network import FitNetwork
from segassess.predict.scene import IN_MEMORY
from segassess.predict.tiling import Area
from segassess.raster import is_remote

RECORD = "fit.json"
# A label is contradicted by P(object) below the first in the mask, and above the second outside.
_NO_OBJECT, _OBJECT = 0.25, 0.5
# Windows whose answer is kept, as many as are judged at once.
_SAID = 16


@dataclass(frozen=True)
class FittedLayer:
    """The network of each fold, in evaluation mode on `device`, and the settings that they were trained with."""

    networks: Sequence[FitNetwork]
    settings: FitSettings
    device: torch.device
    grounds: Mapping[str, Blocks]  # by image, of those that they learned from
    digest: str  # of the files of the networks
    classes: Sequence[str] = ("mask",)  # the outputs of a network
    # What was said last, by window: its pixels, and P(object). The masks of one image ask one after another.
    _said: "OrderedDict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]" = field(
        default_factory=OrderedDict, repr=False, compare=False
    )

    def blocks(self, image: str) -> Blocks | None:
        """The blocks of an image that the networks learned from; None for other ground."""
        return self.grounds.get(image_key(image))

    def reference(self, blocks: Blocks | None, area: Area, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """P(object) of each class float32 (K, h, w) in a window with `pixels` (h, w, 3).

        Without `blocks`, on new ground, it is the folds' mean.
        """
        if len(self.classes) == 1:
            return self._reference(blocks, area, pixels)
        key = id(pixels)
        if key not in self._said or self._said[key][0] is not pixels:
            if len(self._said) >= _SAID:
                self._said.popitem(last=False)
            self._said[key] = pixels, self._reference(blocks, area, pixels)
        return self._said[key][1]

    def contradicted(self, image: str, area: Area, pixels: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where these networks contradict labels (K, h, w) of the classes in a window of an image of the layer; bool (h, w)."""
        reference = self._reference(self.blocks(image), area, pixels)
        return np.asarray(np.where(masks, reference < _NO_OBJECT, reference > _OBJECT).any(axis=0))

    def _reference(self, blocks: Blocks | None, area: Area, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = pixels.shape[:2]
        scale = self.settings.scale
        size = max(32, round(width * scale)), max(32, round(height * scale))
        scaled = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(scaled.transpose(2, 0, 1)[None].copy()).to(self.device)
        folds = None if blocks is None else blocks.fold_of(*area)
        result = np.zeros((len(self.classes), height, width), np.float32)
        for fold, network in enumerate(self.networks):
            if folds is not None and not (folds == fold).any():
                continue
            for of_class, probability in zip(result, self._probability(network, image), strict=True):
                full = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
                if folds is None:
                    of_class += full / len(self.networks)
                else:
                    np.copyto(of_class, full, where=folds == fold)
        return result

    @torch.inference_mode()
    def _probability(self, network: FitNetwork, image: torch.Tensor) -> NDArray[np.float32]:
        """P(object) (K, h, w) of an image (1, 3, h, w), the mean of it and its mirror image."""
        mirrored = network.probability(image.flip(-1)).flip(-1)
        return np.asarray(((network.probability(image) + mirrored) / 2)[0].float().cpu().numpy())


def load_fitted(folder: Path, device: torch.device) -> FittedLayer:
    """Load the networks of an earlier fit; raises InputError if the folder holds none."""
    try:
        content: Mapping[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        settings, classes = FitSettings(**content["settings"]), [str(each) for each in content["classes"]]
        grounds = {image: Blocks.from_dict(blocks) for image, blocks in content["grounds"].items()}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder} holds no complete fit; give the folder `fit` of an earlier result.") from error
    networks, digests = [], []
    for fold in range(settings.folds):
        path = folder / f"fold_{fold}.safetensors"
        network = FitNetwork(len(classes), pretrained=False)
        load_weights(network, read_tensors(path), "own", file=path)
        networks.append(network.to(device).eval().requires_grad_(False))
        digests.append(file_digest(path))
    return FittedLayer(networks, settings, device, grounds, " ".join(digests), classes)


def image_key(image: str) -> str:
    """What tells an image from others; arrays in memory are named after their content."""
    if image.startswith(IN_MEMORY):
        return Path(image).name
    return image if is_remote(image) else str(Path(image).resolve())
