"""Baselines that estimate the truth with other segmenters: where the mask differs from theirs, it is wrong."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline, BaselineContext
from segassess.models.baselines.binned import ErrorTable
from segassess.models.baselines.odds import from_error_odds, from_truth_odds, shifted_log_odds
from segassess.models.segmenters.fitted import FittedSegmenter

BINS = 100
NOTHING_UNSEEN = (
    "{} knows no training tile that a network has not learned from; add networks that left some out with train.py task=crossfit."
)


class Disagreement(Baseline):
    """The truth as segmenters estimate it, never the one that drew the mask under judgement.

    Log-odds are shifted so that a segmenter's threshold becomes 0.5. `segmenters`, none held out, go by the source of their
    masks; `keys` are those of the training tiles by name (see `data.tiles.Tile`).
    """

    asks_segmenters = True

    def __init__(self, segmenters: Mapping[str, FittedSegmenter], keys: Mapping[str, str]) -> None:
        super().__init__()
        self.segmenters = dict(segmenters)
        self.keys = dict(keys)

    @classmethod
    def build(cls, context: BaselineContext) -> Self:
        """See `Baseline.build`; segmenters are those of the sources that may be learned from."""
        return cls(context.segmenters(cls.name, context.learned_sources), context.keys)

    def judges(self, source: str) -> bool:
        """Whether another segmenter than the mask's own can be asked."""
        return any(name != source for name in self.segmenters)

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """The images, float32 (B, 3, H, W) in [0, 1], with each segmenter's probability (B, 1, H, W) as a level.

        No network for new images may have learned from them.
        """
        levels = tuple(self.segmenters[name].probability(0, image) for name in self._asked())
        size = (image.shape[-2], image.shape[-1])
        return ImageFeatures(image, levels, size, size)

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Baseline.assess`; raises RequestError if the only segmenter drew a mask itself."""
        odds = []
        for row, source in enumerate(sources or [""] * len(mask)):
            if not self.judges(source):
                raise RequestError(
                    f"{self.name} cannot judge masks of {source}, its only segmenter; "
                    "add another with train.py task=crossfit segmenter=NAME."
                )
            levels = zip(self._asked(), features.levels, strict=True)
            odds.append(self._truth_odds({name: level[row % len(level)] for name, level in levels if name != source}))
        return self._judged(torch.cat(odds), mask)

    def _judged(self, truth_odds: Tensor, mask: Tensor) -> AssessorOutput:
        """Quality logits that follow from log-odds (B, H, W) of the object for masks (B, 1, H, W)."""
        return from_truth_odds(truth_odds, mask)

    def _asked(self) -> list[str]:
        """Segmenters that masks of any source need."""
        return list(self.segmenters)

    @abstractmethod
    def _truth_odds(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Log-odds (1, H, W) of the object, never 0, from the probabilities (1, H, W) of the segmenters that may be asked."""

    def _unseen_probabilities(self, tile: str, image: Tensor) -> dict[str, Tensor]:
        """Probabilities (1, H, W) of a training image (1, 3, H, W), by segmenters with a network that left it out."""
        found = {}
        for name, segmenter in self.segmenters.items():
            index, seen = segmenter.choose(self.keys[tile])
            if seen != "trained":
                found[name] = segmenter.probability(index, image)[0]
        return found

    def _shifted(self, name: str, probability: Tensor) -> Tensor:
        return shifted_log_odds(probability, self.segmenters[name].threshold)


class EnsembleDisagreement(Disagreement):
    """The mean of the shifted probabilities of all segmenters; an error is where the mask differs from mean > 0.5."""

    name = "disagreement_ensemble"

    def _truth_odds(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        shifted = [self._shifted(name, probability).sigmoid() for name, probability in probabilities.items()]
        return shifted_log_odds(torch.stack(shifted).mean(dim=0), 0.5)


class FittedDisagreement(EnsembleDisagreement):
    """The ensemble, with the cuts (`ErrorTable`) that were best on training masks, by networks that had not seen their image."""

    name = "disagreement_fitted"
    learns = True

    def __init__(self, segmenters: Mapping[str, FittedSegmenter], keys: Mapping[str, str]) -> None:
        super().__init__(segmenters, keys)
        self.table = ErrorTable(BINS)

    def fit_batch(self, batch: Batch) -> None:
        """Count right and wrong pixels by the other segmenters' probability; each image is segmented once."""
        drawn: dict[str, dict[str, Tensor]] = {}
        for row, (name, source) in enumerate(zip(batch.name, batch.source, strict=True)):
            one = slice(row, row + 1)
            if name not in drawn:
                drawn[name] = self._unseen_probabilities(name, batch.image[one])
            if others := {asked: probability for asked, probability in drawn[name].items() if asked != source}:
                truth = None if batch.truth is None else batch.truth[one]
                self.table.count(
                    _agreement_bins(self._truth_odds(others), batch.mask[one]), batch.mask[one], truth, batch.valid[one]
                )

    def finish_fit(self) -> None:
        """Choose the cuts and fill the table."""
        self.table.finish(NOTHING_UNSEEN.format(self.name))

    def _judged(self, truth_odds: Tensor, mask: Tensor) -> AssessorOutput:
        return from_error_odds(self.table.error_odds(_agreement_bins(truth_odds, mask), mask), mask)


def _agreement_bins(truth_odds: Tensor, mask: Tensor) -> Tensor:
    """Bins int64 (B, H, W) of the probability that a pixel of the mask is right; the first hold the likeliest errors."""
    agreement = torch.where(mask[:, 0] > 0, truth_odds, -truth_odds).sigmoid()
    return (agreement * BINS).long().clamp(0, BINS - 1)


class BestDisagreement(Disagreement):
    """The best other segmenter; an error is where the mask differs from the one that it would draw.

    `iou` of each segmenter, best first, compares training tiles with networks that have not learned from them; NaN (last) where
    every network has learned from every tile.
    """

    name = "disagreement_best"
    learns = True

    def __init__(self, segmenters: Mapping[str, FittedSegmenter], keys: Mapping[str, str]) -> None:
        super().__init__(segmenters, keys)
        self.iou: dict[str, float] = {}
        # Pixels: intersection, union.
        self._counts = {name: [0, 0] for name in self.segmenters}

    def fit_batch(self, batch: Batch) -> None:
        """Compare each segmenter with the truth of the batch's tiles, each tile once."""
        if batch.truth is None:
            raise ValueError(f"{self.name} learns from tiles with truth.")
        for name, row in {name: row for row, name in enumerate(batch.name)}.items():
            truth, valid = batch.truth[row] > 0, batch.valid[row]
            for source, probability in self._unseen_probabilities(name, batch.image[row : row + 1]).items():
                drawn = probability > self.segmenters[source].threshold
                counts = self._counts[source]
                counts[0] += int((drawn & truth & valid).sum())
                counts[1] += int(((drawn | truth) & valid).sum())

    def finish_fit(self) -> None:
        """Rank the segmenters."""
        if not any(union for _, union in self._counts.values()):
            raise RequestError(NOTHING_UNSEEN.format(self.name))
        iou = {name: hits / union if union else math.nan for name, (hits, union) in self._counts.items()}
        self.iou = dict(sorted(iou.items(), key=lambda item: -1.0 if math.isnan(item[1]) else item[1], reverse=True))

    def _asked(self) -> list[str]:
        # The second best judges the masks of the best.
        return list(self.iou)[:2]

    def _truth_odds(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        best = next(iter(probabilities))
        return self._shifted(best, probabilities[best])
