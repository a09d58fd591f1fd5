"""All metrics of an evaluation: pooled, per source, and a row per mask."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from segassess import quality
from segassess.metrics.confusion import QualityConfusion, confusion_matrix, quality_metrics
from segassess.metrics.reference import ReferenceProtocol
from segassess.metrics.scores import ScoreAgreement, expected_iou, true_iou

ALL = "all"


@dataclass(frozen=True)
class MaskRow:
    """Metrics of one mask; all but the names are in [0, 1], NaN where undefined."""

    name: str
    source: str
    estimated_iou: float
    true_iou: float
    refined_iou: float
    fp_iou: float
    fn_iou: float
    error_f1: float
    error_share: float

    def as_dict(self) -> dict[str, str | float]:
        """The row as a plain dictionary."""
        return asdict(self)


class EvaluationMetrics(nn.Module):
    """Accumulates batches; computes for each source and for all of them together.

    Args:
        sources: names of all sources that can occur (the same on every rank).
        reference_protocol: also score the way the published implementation does (single process only).
    """

    def __init__(self, sources: Sequence[str], reference_protocol: bool = False) -> None:
        super().__init__()
        self.sources = list(sources)
        # One per source, the last one for all of them together.
        self.confusions = nn.ModuleList(QualityConfusion() for _ in (*self.sources, ALL))
        self.agreements = nn.ModuleList(ScoreAgreement() for _ in (*self.sources, ALL))
        self.reference = {name: ReferenceProtocol() for name in (*self.sources, ALL)} if reference_protocol else {}
        self.rows: list[MaskRow] = []

    def update(
        self, probabilities: Tensor, mask: Tensor, truth: Tensor, valid: Tensor, names: Sequence[str], sources: Sequence[str]
    ) -> None:
        """Add a batch.

        Args:
            probabilities: float (B, 4, H, W), decoded quality probabilities.
            mask: (B, 1, H, W) in {0, 1}.
            truth: (B, 1, H, W) in {0, 1}.
            valid: bool (B, 1, H, W); masks without a valid pixel are fillers and ignored.
            names: B tile names.
            sources: B source names.
        """
        predicted, target = quality.decode(probabilities), quality.encode(mask, truth).squeeze(1)
        estimated, true = expected_iou(probabilities, valid), true_iou(mask, truth, valid)
        refined = true_iou(quality.refine(mask.squeeze(1), predicted).unsqueeze(1), truth, valid)
        flat_valid = valid.squeeze(1)
        for index, (name, source) in enumerate(zip(names, sources, strict=True)):
            one = slice(index, index + 1)
            if not bool(flat_valid[one].any()):
                continue
            arguments = predicted[one], target[one], flat_valid[one]
            position = self.sources.index(source)
            for place in (position, -1):
                self._confusion(place).update(*arguments)
                self._agreement(place).update(estimated[one], true[one])
            metrics = quality_metrics(confusion_matrix(*arguments))
            share = float((target[one][flat_valid[one]] % 2 == 1).float().mean())
            self.rows.append(
                MaskRow(
                    name=name,
                    source=source,
                    estimated_iou=float(estimated[index]),
                    true_iou=float(true[index]),
                    refined_iou=float(refined[index]),
                    fp_iou=metrics["fp_iou"],
                    fn_iou=metrics["fn_iou"],
                    error_f1=metrics["error_f1"],
                    error_share=share,
                )
            )
        if self.reference:
            self.reference[ALL].update(predicted, target, flat_valid)
            for source in set(sources):
                chosen = torch.tensor([source == other for other in sources], device=predicted.device)
                self.reference[source].update(predicted[chosen], target[chosen], flat_valid[chosen])

    def compute(self) -> dict[str, dict[str, float]]:
        """Metrics by source, and under "all" pooled over the sources; synchronised over ranks."""
        # A rank that saw no mask of a source must take part in its synchronisation all the same.
        nothing = torch.empty(0, device=self._confusion(-1).device)
        codes = nothing.long().reshape(0, 1, 1)
        for index in range(len(self.confusions)):
            self._confusion(index).update(codes, codes, codes.bool())
            self._agreement(index).update(nothing, nothing)
        result = {
            source: {**self._confusion(index).compute(), **self._agreement(index).compute()}
            for index, source in enumerate((*self.sources, ALL))
        }
        for source, protocol in self.reference.items():
            result[source] |= {f"reference_{name}": value for name, value in protocol.compute().items()}
        return result

    def reset(self) -> None:
        """Forget everything."""
        for index in range(len(self.confusions)):
            self._confusion(index).reset()
            self._agreement(index).reset()
        self.reference = {name: ReferenceProtocol() for name in self.reference}
        self.rows = []

    def _confusion(self, index: int) -> QualityConfusion:
        metric = self.confusions[index]
        assert isinstance(metric, QualityConfusion)
        return metric

    def _agreement(self, index: int) -> ScoreAgreement:
        metric = self.agreements[index]
        assert isinstance(metric, ScoreAgreement)
        return metric
