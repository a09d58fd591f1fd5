"""Baselines that trust the segmenter's own probabilities: errors lie where the network that drew the mask was unsure."""

import math
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline, BaselineContext
from segassess.models.baselines.binned import ErrorTable
from segassess.models.baselines.odds import from_error_odds
from segassess.models.segmenters.fitted import FittedSegmenter

BINS = 100


class OwnProbability(Baseline):
    """P(error | certainty of the mask's own network), counted on training masks; the least certain pixels are errors.

    Training masks are judged by a network that had not learned from the image, new ones by the network for new images; see
    `ErrorTable`. At a threshold of 0.5 confidence and entropy rank pixels alike but for the bins' widths; at others confidence
    is lowest at the threshold, entropy highest at 0.5. `segmenters` go by the source of their masks, `learned` sources may be
    learned from, `keys` are those of the training tiles by name (see `data.tiles.Tile`).
    """

    learns = True
    asks_segmenters = True

    def __init__(self, segmenters: Mapping[str, FittedSegmenter], learned: Collection[str], keys: Mapping[str, str]) -> None:
        super().__init__()
        self.segmenters = dict(segmenters)
        self.learned = set(learned)
        self.keys = dict(keys)
        self.table = ErrorTable(BINS)

    @classmethod
    def build(cls, context: BaselineContext) -> Self:
        """See `Baseline.build`; a held-out segmenter judges its own masks, but nothing is learned from them."""
        return cls(context.segmenters(cls.name, context.networks), context.learned_sources, context.keys)

    def judges(self, source: str) -> bool:
        """Whether the network that drew the mask is known."""
        return source in self.segmenters

    @abstractmethod
    def certainty(self, probability: Tensor, threshold: float) -> Tensor:
        """Certainty, float in [0, 1], of probabilities of any shape whose mask lies above `threshold`."""

    def fit_batch(self, batch: Batch) -> None:
        """Count right and wrong pixels by certainty; masks whose image all networks have learned from are left out."""
        for row, (name, source) in enumerate(zip(batch.name, batch.source, strict=True)):
            if source not in self.learned or not self.judges(source):
                continue
            index, seen = self.segmenters[source].choose(self.keys[name])
            if seen != "trained":
                one = slice(row, row + 1)
                truth = None if batch.truth is None else batch.truth[one]
                self.table.count(self._bins(source, index, batch.image[one]), batch.mask[one], truth, batch.valid[one])

    def finish_fit(self) -> None:
        """Choose the cuts and fill the table."""
        self.table.finish(
            f"{self.name} has seen no training mask of a segmenter whose network had not learned from the image; "
            "train.py task=crossfit segmenter=NAME draws some."
        )

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Baseline.assess`; runs only the network of each source. Raises RequestError if a mask's network is not known."""
        if len(sources) != len(mask) or not all(map(self.judges, sources)):
            raise RequestError(
                f"{self.name} can judge only masks of {', '.join(self.segmenters)}, "
                f"not of {', '.join(dict.fromkeys(sources)) or 'sources without a name'}."
            )
        images = features.embedding
        if len(images) == 1:
            # Masks of one source share a run.
            found = {source: self._bins(source, 0, images) for source in sources}
            bins = torch.cat([found[source] for source in sources])
        else:
            bins = torch.cat([self._bins(source, 0, images[row : row + 1]) for row, source in enumerate(sources)])
        return from_error_odds(self.table.error_odds(bins, mask), mask)

    def _bins(self, source: str, index: int, image: Tensor) -> Tensor:
        """Bins int64 (1, H, W) of an image (1, 3, H, W); the first holds the least certain pixels."""
        segmenter = self.segmenters[source]
        probability = segmenter.probability(index, image)[:, 0]
        return (self.certainty(probability, segmenter.threshold) * BINS).long().clamp(0, BINS - 1)


class Confidence(OwnProbability):
    """Certainty is the distance of the probability to the threshold, as a share of the greatest one on its side."""

    name = "confidence"

    def certainty(self, probability: Tensor, threshold: float) -> Tensor:
        """See `OwnProbability.certainty`."""
        above, below = (probability - threshold) / (1 - threshold), (threshold - probability) / threshold
        return torch.where(probability > threshold, above, below)


class Entropy(OwnProbability):
    """Certainty is 1 minus the binary entropy of the probability, in bits."""

    name = "entropy"

    def certainty(self, probability: Tensor, threshold: float) -> Tensor:
        """See `OwnProbability.certainty`."""
        nats: Tensor = torch.special.entr(torch.stack([probability, 1 - probability])).sum(dim=0)
        return 1 - nats / math.log(2)
