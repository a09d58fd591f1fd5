"""An assessor that judges an image in several turned and mirrored views and averages what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures, pad_to_multiple

# Quarter turns counter-clockwise, and whether the view is mirrored left-right after them; the first so many differ much.
VIEWS = ((0, False), (1, True), (2, False), (3, True), (1, False), (3, False), (0, True), (2, True))


@dataclass(frozen=True)
class TurnedFeatures(ImageFeatures):
    """Features of the image as it is, and of each of its `views`."""

    views: tuple[ImageFeatures, ...]


class TurnedAssessor(Assessor):
    """Averages the logits of `assessor` over the first `count` of `VIEWS`; each costs as much as the image as it is."""

    def __init__(self, assessor: Assessor, count: int) -> None:
        super().__init__()
        self._take(assessor.image_encoder)
        self.assessor = assessor
        self.pad_multiple = assessor.pad_multiple
        self.views = VIEWS[:count]

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """See the base class; the image is padded first, so that all views show the same."""
        padded = pad_to_multiple(image, self.pad_multiple)
        views = tuple(self.assessor.encode_image(_turned(padded, *view)) for view in self.views)
        size, padded_size = ((each.shape[-2], each.shape[-1]) for each in (image, padded))
        return TurnedFeatures(views[0].embedding, views[0].levels, size, padded_size, views)

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        assert isinstance(features, TurnedFeatures), "features come from encode_image"
        return _mean(
            [
                _back(self.assessor.assess(view, _turned(mask, *turn)), *turn)
                for view, turn in zip(features.views, self.views, strict=True)
            ]
        )


def _turned(planes: Tensor, turns: int, mirror: bool) -> Tensor:
    turned = torch.rot90(planes, turns, dims=(-2, -1))
    return turned.flip(-1) if mirror else turned


def _back(output: AssessorOutput, turns: int, mirror: bool) -> AssessorOutput:
    maps: dict[str, Any] = {
        name: torch.rot90(value.flip(-1) if mirror else value, -turns, dims=(-2, -1))
        for name, value in vars(output).items()
        if isinstance(value, Tensor)
    }
    return replace(output, **maps)


def _mean(outputs: Sequence[AssessorOutput]) -> AssessorOutput:
    maps: dict[str, Any] = {
        name: torch.stack([getattr(output, name) for output in outputs]).mean(dim=0)
        for name, value in vars(outputs[0]).items()
        if isinstance(value, Tensor)
    }
    return replace(outputs[0], **maps)
