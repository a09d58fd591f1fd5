"""Rivals: other ways to judge a mask, behind the same call as the assessor."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from segassess.assessor.base import AssessorOutput, ImageFeatures
from segassess.data.batch import Batch


class Rival(nn.Module, ABC):
    """A method that answers `encode_image` and `assess` like an `Assessor`.

    Attributes:
        name: in results.
        learns: whether `fit_batch` and `finish_fit` must be called before `assess`.
    """

    name: str
    learns: bool = False

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Most rivals only look at the mask: the image itself, float (B, 3, H, W), stands for its features."""
        size = (image.shape[-2], image.shape[-1])
        return ImageFeatures(image, (), size, size)

    @abstractmethod
    def assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        """Quality logits (B, 4, H, W) of masks (B, 1, H, W)."""

    def fit_batch(self, batch: Batch) -> None:
        """Learn from a batch of training masks with truth."""

    def finish_fit(self) -> None:
        """Called once after the last `fit_batch`."""
