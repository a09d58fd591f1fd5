"""The weakest rival: the mask is right everywhere."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segassess.assessor.base import AssessorOutput, ImageFeatures
from segassess.quality import TN, TP
from segassess.rivals.base import Rival

CERTAIN = 20.0


class AlwaysRight(Rival):
    """Says TP inside the mask and TN outside, with certainty."""

    name = "always_right"

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Rival.assess`."""
        logits = torch.zeros(mask.shape[0], 4, *mask.shape[-2:], device=mask.device)
        inside = mask[:, 0] > 0
        logits[:, TP] = inside * CERTAIN
        logits[:, TN] = ~inside * CERTAIN
        return AssessorOutput(logits)
