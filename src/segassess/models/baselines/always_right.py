"""The weakest baseline: the mask is right everywhere."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.baselines.base import Baseline
from segassess.models.baselines.odds import IMPOSSIBLE, from_error_odds


class AlwaysRight(Baseline):
    """TP inside the mask and TN outside, with certainty."""

    name = "always_right"

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Baseline.assess`."""
        return from_error_odds(torch.full_like(mask[:, 0], IMPOSSIBLE), mask)
