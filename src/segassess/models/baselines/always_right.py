"""The weakest baseline: the mask is right everywhere."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline
from segassess.quality import TN, TP

CERTAIN = 20.0


class AlwaysRight(Baseline):
    """TP inside the mask and TN outside, with certainty."""

    name = "always_right"

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Baseline.assess`."""
        logits = torch.zeros(mask.shape[0], 4, *mask.shape[-2:], device=mask.device)
        inside = mask[:, 0] > 0
        logits[:, TP] = inside * CERTAIN
        logits[:, TN] = ~inside * CERTAIN
        return AssessorOutput(logits)
