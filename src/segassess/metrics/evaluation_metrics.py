"""All metrics of an evaluation: pooled, per source, per region, and a row per mask."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from segassess import quality
from segassess.metrics.confusion import confusion_matrix, quality_metrics
from segassess.metrics.expected_counts import ExpectedCounts
from segassess.metrics.missed_objects import MIN_AREA
from segassess.metrics.missed_recall import MissedCalls
from segassess.metrics.objects import WRONG_IOU, MaskObjects, estimated_object_iou, true_object_iou
from segassess.metrics.reference import ReferenceProtocol
from segassess.metrics.reliability import Reliability
from segassess.metrics.review_curves import review_metrics
from segassess.metrics.risk_coverage import risk_metrics
from segassess.metrics.score_agreement import average_precision, score_agreement
from segassess.quality import FN, FP, NUM_CLASSES, TP

ALL = "all"


@dataclass(frozen=True)
class MaskRow:
    """Metrics of one mask in [0, 1] or in pixels, NaN where undefined, and what groups of masks are pooled from.

    Estimated scores come from calibrated probabilities; `estimated_iou` is 1 where neither mask nor errors are expected. True and
    refined scores compare the mask and the refined mask with the ground truth. `fp_iou`, `fn_iou` and `error_f1` rate the quality
    map; `error_share` is the true share of wrong pixels. `expected_errors` sums P(error) over valid pixels, `true_errors` counts
    the wrong ones. `confusion` has 4 x 4 pixel counts, row by row, by true class. If requested, `objects` has the estimated and
    true IoU of each object (`metrics.objects`), and `missed` the called and true missed objects (`metrics.missed_recall`).
    """

    name: str
    source: str
    estimated_iou: float
    true_iou: float
    estimated_f1: float
    true_f1: float
    estimated_precision: float
    true_precision: float
    estimated_recall: float
    true_recall: float
    refined_iou: float
    fp_iou: float
    fn_iou: float
    error_f1: float
    error_share: float
    expected_errors: float
    true_errors: float
    confusion: tuple[int, ...]
    reliability: Reliability
    objects: tuple[tuple[float, float], ...]
    missed: MissedCalls

    def as_dict(self) -> dict[str, str | float]:
        """Name, source and metrics, without what groups are pooled from."""
        return {name: value for name, value in vars(self).items() if name not in _POOLED}

    def reliability_bins(self) -> NDArray[Any]:
        """Float64 (3, bins), all pixels by P(error): their number, sum of P(error), and number of wrong ones."""
        return self.reliability.everywhere


_POOLED = ("confusion", "reliability", "objects", "missed")


def pooled_metrics(rows: Sequence[MaskRow]) -> dict[str, float]:
    """Metrics of a group of masks, pooled over their pixels; without masks NaN and zero counts.

    All of `quality_metrics`; `refined_iou` and `refined_iou_gain` over `mask_iou`; `iou_mae`, `iou_pearson`, `iou_spearman` of
    estimated and true IoU over `iou_images` masks, leaving out those where truth and mask are empty; the same as `object_iou_*`
    over `object_iou_objects` objects of at least 25 pixels; `object_ap`, the average precision of finding the objects with a true
    IoU below `WRONG_IOU` by their estimated IoU, and their share `object_wrong`; `missed_recall` of `missed_objects`
    (`metrics.missed_recall`); `ece`, `ece_fp`, `ece_fn` (`metrics.reliability`); `risk_95`, `aurc` (`metrics.risk_coverage`);
    `review_area`, `review_area_oracle`, `review_found_20` (`metrics.review_curves`; masks sorted by
    expected number of wrong pixels).
    """
    confusion = torch.tensor([row.confusion for row in rows], dtype=torch.long).reshape(-1, NUM_CLASSES, NUM_CLASSES).sum(dim=0)
    metrics = quality_metrics(confusion)
    metrics["refined_iou"] = refined_counts(confusion).iou
    metrics["refined_iou_gain"] = metrics["refined_iou"] - metrics["mask_iou"]
    images = score_agreement([row.estimated_iou for row in rows], [row.true_iou for row in rows])
    pairs = [pair for row in rows for pair in row.objects]
    objects = score_agreement([estimated for estimated, _ in pairs], [true for _, true in pairs])
    for name, agreement, counted in (("iou", images, "images"), ("object_iou", objects, "objects")):
        metrics |= {f"{name}_{counted if score == 'number' else score}": value for score, value in agreement.items()}
    true = [true for _, true in pairs]
    metrics["object_ap"] = average_precision([estimated for estimated, _ in pairs], true, WRONG_IOU)
    metrics["object_wrong"] = sum(score < WRONG_IOU for score in true) / len(true) if true else math.nan
    metrics |= sum((row.missed for row in rows), start=MissedCalls()).metrics()
    reliability = sum((row.reliability for row in rows), start=Reliability.none())
    metrics |= reliability.errors() | risk_metrics(reliability.everywhere)
    return metrics | review_metrics([row.expected_errors for row in rows], [row.true_errors for row in rows])


def true_counts(confusion: Tensor) -> ExpectedCounts:
    """True counts of a mask from its confusion matrix (4, 4), whose rows are the true classes."""
    occurs = confusion.sum(dim=1).double().tolist()
    return ExpectedCounts(occurs[TP], occurs[FP], occurs[FN], int(sum(occurs)))


def refined_counts(confusion: Tensor) -> ExpectedCounts:
    """Counts of the refined mask (`quality.refine`) from a confusion matrix (4, 4) whose rows are the true classes."""
    codes = torch.arange(NUM_CLASSES)
    true, predicted = codes.unsqueeze(1), codes.unsqueeze(0)
    # A pixel is TP or FP inside the mask, TN or FN outside.
    inside, truth = (true == TP) | (true == FP), (true == TP) | (true == FN)
    refined = quality.refine(inside.expand(NUM_CLASSES, -1), predicted)
    hits, false_alarms, misses = (
        int(confusion.cpu()[chosen.expand(NUM_CLASSES, NUM_CLASSES)].sum())
        for chosen in (refined & truth, refined & ~truth, ~refined & truth)
    )
    return ExpectedCounts(hits, false_alarms, misses, int(confusion.sum()))


def all_ranks(rows: Sequence[MaskRow]) -> list[MaskRow]:
    """Gather the rows of all processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return list(rows)
    gathered: list[list[MaskRow]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(gathered, list(rows))
    return [row for part in gathered for row in part]


def metrics_by_region(rows: Sequence[MaskRow], regions: Mapping[str, str]) -> dict[str, dict[str, dict[str, float]]]:
    """Pooled metrics by region and source, with "all" for all sources of a region; `regions` is by tile name."""
    groups: dict[str, dict[str, list[MaskRow]]] = {}
    for row in rows:
        for source in (row.source, ALL):
            groups.setdefault(regions[row.name], {}).setdefault(source, []).append(row)
    return {
        region: {source: pooled_metrics(by_source[source]) for source in sorted(by_source, key=lambda name: name == ALL)}
        for region, by_source in sorted(groups.items())
    }


class EvaluationMetrics:
    """Accumulates batches and computes metrics by source and for all sources together.

    Every rank needs the same `sources`. `reference_protocol` adds the published implementation's scores (one process only).
    `objects` also compares estimated and true IoU of objects, about 20 ms per mask of 512 px. `rows` has this process's masks.
    """

    def __init__(self, sources: Sequence[str], reference_protocol: bool = False, objects: bool = False) -> None:
        self.sources = list(sources)
        self.objects = objects
        self.reference = {name: ReferenceProtocol() for name in (*self.sources, ALL)} if reference_protocol else {}
        self.rows: list[MaskRow] = []

    def update(
        self,
        probabilities: Tensor,
        mask: Tensor,
        truth: Tensor,
        valid: Tensor,
        names: Sequence[str],
        sources: Sequence[str],
        calibrated: Tensor | None = None,
    ) -> None:
        """Add a batch: mask and truth (B, 1, H, W) in {0, 1}, valid bool (B, 1, H, W), B names of tiles and B sources.

        `probabilities`, float (B, 4, H, W), give the decisions; `calibrated` (default: the same) give the estimated scores. A
        mask without a valid pixel is a filler and does not count.
        """
        if calibrated is None:
            calibrated = probabilities
        predicted, target = quality.decode(probabilities), quality.encode(mask, truth).squeeze(1)
        flat_valid = valid.squeeze(1)
        for index, (name, source) in enumerate(zip(names, sources, strict=True)):
            if source not in self.sources:
                raise ValueError(f"The source {source!r} must be one of {', '.join(self.sources)}.")
            if bool(flat_valid[index].any()):
                confusion = confusion_matrix(predicted[index], target[index], flat_valid[index]).cpu()
                one = slice(index, index + 1)
                reliability = Reliability.of(calibrated[one], mask[one], truth[one], valid[one])
                estimated = ExpectedCounts.of(calibrated[index], flat_valid[index])
                planes = predicted[index], mask[index, 0], truth[index, 0], flat_valid[index]
                objects, missed = _objects(calibrated[index], *planes) if self.objects else ((), MissedCalls())
                self.rows.append(_row(name, source, estimated, confusion, reliability, objects, missed))
        if self.reference:
            self.reference[ALL].update(predicted, target, flat_valid)
            for source in set(sources):
                chosen = torch.tensor([source == other for other in sources], device=predicted.device)
                self.reference[source].update(predicted[chosen], target[chosen], flat_valid[chosen])

    def compute(self) -> dict[str, dict[str, float]]:
        """Metrics of all processes by source, and pooled under "all"."""
        rows = all_ranks(self.rows)
        result = {source: pooled_metrics([row for row in rows if row.source == source]) for source in self.sources}
        result[ALL] = pooled_metrics(rows)
        for source, protocol in self.reference.items():
            result[source] |= {f"reference_{name}": value for name, value in protocol.compute().items()}
        return result

    def reset(self) -> None:
        """Forget everything."""
        self.reference = {name: ReferenceProtocol() for name in self.reference}
        self.rows = []


def _row(
    name: str,
    source: str,
    estimated: ExpectedCounts,
    confusion: Tensor,
    reliability: Reliability,
    objects: tuple[tuple[float, float], ...],
    missed: MissedCalls,
) -> MaskRow:
    metrics, true = quality_metrics(confusion), true_counts(confusion)
    return MaskRow(
        name=name,
        source=source,
        estimated_iou=1.0 if math.isnan(estimated.iou) else estimated.iou,
        true_iou=true.iou,
        estimated_f1=estimated.f1,
        true_f1=true.f1,
        estimated_precision=estimated.precision,
        true_precision=true.precision,
        estimated_recall=estimated.recall,
        true_recall=true.recall,
        refined_iou=refined_counts(confusion).iou,
        fp_iou=metrics["fp_iou"],
        fn_iou=metrics["fn_iou"],
        error_f1=metrics["error_f1"],
        error_share=true.error_share,
        expected_errors=estimated.errors,
        true_errors=true.errors,
        confusion=tuple(confusion.flatten().tolist()),
        reliability=reliability,
        objects=objects,
        missed=missed,
    )


def _objects(
    calibrated: Tensor, predicted: Tensor, mask: Tensor, truth: Tensor, valid: Tensor
) -> tuple[tuple[tuple[float, float], ...], MissedCalls]:
    """Estimated and true IoU of the objects of one mask, and its missed ones; `calibrated` is (4, H, W), the rest (H, W)."""
    probabilities, codes, inside, true, counted = (
        plane.cpu().numpy() for plane in (calibrated.float(), predicted, mask > 0, truth > 0, valid)
    )
    objects = MaskObjects.of(inside, counted)
    large = objects.area >= MIN_AREA
    estimated = estimated_object_iou(objects, probabilities, codes, counted)[large]
    pairs = tuple(zip(estimated.tolist(), true_object_iou(objects, true, counted)[large].tolist(), strict=True))
    outside = counted & ~inside
    return pairs, MissedCalls.of(probabilities[FN], (codes == FN) & outside, true & outside, inside & counted)
