"""Baselines: other ways to judge a mask, behind the same call as the assessor."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.segmenters.fitted import FittedSegmenter


@dataclass(frozen=True)
class BaselineContext:
    """What baselines may ask for beside masks and images; all of it may be absent.

    Attributes:
        networks: fitted segmenters by the source that their masks are; held-out ones may be among them.
        learned_sources: sources that may be learned from.
        keys: of the training tiles by name (see `data.tiles.Tile`).
        judged_keys: keys of the tiles that will be judged.
        sam_checkpoint: a checkpoint of Segment Anything.
        sam_type: its size: "vit_b", "vit_l" or "vit_h".
    """

    networks: Mapping[str, FittedSegmenter] = field(default_factory=dict)
    learned_sources: Sequence[str] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    judged_keys: Sequence[str] = ()
    sam_checkpoint: Path | None = None
    sam_type: str = "vit_b"

    def segmenters(self, baseline: str, sources: Iterable[str]) -> dict[str, FittedSegmenter]:
        """The fitted segmenters of those sources that have one, for a baseline of this name.

        Raises:
            RequestError: if there is none, or one has learned from a tile that will be judged.
        """
        found = {source: self.networks[source] for source in sources if source in self.networks}
        if not found:
            raise RequestError(
                f"{baseline} asks segmenters, but there are no networks of a training source; "
                "train.py task=crossfit segmenter=NAME makes them, and networks= says where they lie."
            )
        for name, segmenter in found.items():
            if seen := sorted(set(segmenter.networks[0].description.trained_on) & set(self.judged_keys)):
                raise RequestError(
                    f"The network of {name} that {baseline} asks has learned from {seen[0]}, which is under evaluation; "
                    "evaluate a split that it did not learn from."
                )
        return found


class Baseline(nn.Module, ABC):
    """A method that answers `encode_image` and `assess` like an `Assessor`.

    Attributes:
        name: in results.
        learns: whether `fit_batch` and `finish_fit` must be called before `assess`.
        asks_segmenters: whether it needs `BaselineContext.networks`.
    """

    name: str
    learns: bool = False
    asks_segmenters: bool = False

    @classmethod
    def build(cls, context: BaselineContext) -> Self:
        """The baseline, with what it needs from the context.

        Raises:
            RequestError: if the context lacks something; says which command makes it.
        """
        return cls()

    def judges(self, source: str) -> bool:
        """Whether the baseline can judge masks of this source."""
        return True

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """Most baselines only look at the mask: the image itself, float (B, 3, H, W), stands for its features."""
        size = (image.shape[-2], image.shape[-1])
        return ImageFeatures(image, (), size, size)

    @abstractmethod
    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """Judge masks of encoded images.

        Args:
            features: of B images, or of ONE image, which is then used for all B masks.
            mask: float (B, 1, H, W) in {0, 1}.
            sources: who made each of the B masks; () where nobody knows. Most baselines do not care.

        Returns:
            Quality logits (B, 4, H, W).
        """

    def assess_batch(self, features: ImageFeatures, batch: Batch) -> AssessorOutput:
        """Judge a batch whose images are encoded; for methods that must know which tile a mask is of, see `Batch.name`."""
        return self.assess(features, batch.mask, sources=batch.source)

    def fit_batch(self, batch: Batch) -> None:
        """Learn from a batch of training masks with truth; tiles are whole."""

    def finish_fit(self) -> None:
        """Called once after the last `fit_batch`.

        Raises:
            RequestError: if there was nothing to learn from.
        """
