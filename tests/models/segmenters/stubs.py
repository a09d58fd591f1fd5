"""Segmenters that answer by rule, to test what is built on segmenters."""

from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from segassess.models.segmenters.base import Segmenter, SegmenterOutput
from segassess.models.segmenters.fitted import FittedSegmenter
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, StoredSegmenter


class Brighter(Segmenter):
    """A mask where the first band is brighter than a level."""

    SIZES: ClassVar = {"full": {}}

    def __init__(self, level: float) -> None:
        super().__init__((0.0,) * 3, (1.0,) * 3)
        self.level = level
        self.weight = nn.Parameter(Tensor([1.0]))

    def _segment(self, image: Tensor) -> SegmenterOutput:
        return SegmenterOutput((image[:, :1] - self.level) * 100 * self.weight)


def stored(level: float, *, name: str = "bright", threshold: float = 0.5, trained_on=(), selected_on=()) -> StoredSegmenter:
    description = SegmenterDescription({"name": name}, threshold, tuple(trained_on), tuple(selected_on))
    segmenter = Brighter(level).eval().requires_grad_(False)
    return StoredSegmenter(segmenter, description, f"{level:.3f}".ljust(16, "0"), Path(f"{level}.safetensors"))


def fitted(*networks: StoredSegmenter) -> FittedSegmenter:
    return FittedSegmenter(networks)
