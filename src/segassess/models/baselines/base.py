"""The interface of baselines: other ways to judge a mask, behind the same call as the assessor."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.calibration import Calibration
from segassess.models.segmenters.fitted import FittedSegmenter


@dataclass(frozen=True)
class BaselineContext:
    """Whatever baselines may need beside masks and images; every part may be absent.

    `networks` are fitted segmenters, held-out ones included, by the source of their masks; only `learned_sources` may be
    learned from. `keys` are those of the training tiles by name, `judged_keys` those of tiles under judgement (see
    `data.tiles.Tile`). `sam_type` is "vit_b", "vit_l" or "vit_h".
    """

    networks: Mapping[str, FittedSegmenter] = field(default_factory=dict)
    learned_sources: Sequence[str] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    judged_keys: Sequence[str] = ()
    sam_checkpoint: Path | None = None
    sam_type: str = "vit_b"

    def segmenters(self, baseline: str, sources: Iterable[str]) -> dict[str, FittedSegmenter]:
        """Fitted segmenters of these sources; raises RequestError if there are none or one has learned from a judged tile."""
        found = {source: self.networks[source] for source in sources if source in self.networks}
        if not found:
            raise RequestError(
                f"{baseline} needs segmenters, but no training source has networks; make some with "
                "train.py task=crossfit segmenter=NAME and give their folder as networks=."
            )
        for name, segmenter in found.items():
            if seen := sorted(set(segmenter.networks[0].description.trained_on) & set(self.judged_keys)):
                raise RequestError(
                    f"The network of {name} that {baseline} needs has learned from {seen[0]}, which is under evaluation; "
                    "evaluate a split that it did not learn from."
                )
        return found


class Baseline(nn.Module, ABC):
    """A method that answers `encode_image` and `assess` like an `Assessor`.

    `learns` asks for `fit_batch` and `finish_fit` before `assess`; `asks_segmenters` for `BaselineContext.networks`.
    """

    name: str
    learns: bool = False
    asks_segmenters: bool = False

    @classmethod
    def build(cls, context: BaselineContext) -> Self:
        """Build the baseline; raises RequestError, with the command that helps, if the context lacks something."""
        return cls()

    def judges(self, source: str) -> bool:
        """Whether the baseline can judge masks of this source."""
        return True

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """The image itself, float (B, 3, H, W), as its features; most baselines look only at the mask."""
        size = (image.shape[-2], image.shape[-1])
        return ImageFeatures(image, (), size, size)

    @abstractmethod
    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """Quality logits (B, 4, H, W) of masks, float (B, 1, H, W) in {0, 1}.

        `features` are of B images or of ONE image for all masks; `sources` names who made each mask, () if unknown.
        """

    def assess_batch(self, features: ImageFeatures, batch: Batch) -> AssessorOutput:
        """Judge a batch with encoded images; override it if the tile of a mask matters (`Batch.name`)."""
        return self.assess(features, batch.mask, sources=batch.source)

    def calibrations(self, batch: Batch) -> Sequence[Calibration] | None:
        """A calibration of its own for each mask of a batch; None if that of the method holds for all."""
        return None

    def fit_batch(self, batch: Batch) -> None:
        """Learn from a batch of training masks with truth; tiles are whole."""

    def finish_fit(self) -> None:
        """Finish after the last `fit_batch`; raises RequestError if there was nothing to learn from."""
