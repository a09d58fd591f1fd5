"""P(error | one number per pixel), counted on training masks, as the simplest learning baselines use it."""

import numpy as np
import torch
from torch import Tensor, nn

from segassess.errors import RequestError
from segassess.models.baselines.odds import decide
from segassess.models.calibration import best_prefix


class ErrorTable(nn.Module):
    """Log-odds of an error by bin, likeliest errors first: one row outside the mask and one inside.

    `cut` is the number of bins that are called errors, outside and inside: the one with the best FN IoU and FP IoU on the
    training masks. Log-odds are shifted to be 0 at the cut; unshifted they would hardly ever call an error, a straw man.
    """

    log_odds: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        # Rows: outside, inside; last axis: right, wrong.
        self._counts = torch.zeros(2, bins, 2, dtype=torch.int64)
        self.register_buffer("log_odds", torch.zeros(2, bins))
        self.cut = (0, 0)

    def count(self, bins: Tensor, mask: Tensor, truth: Tensor | None, valid: Tensor) -> None:
        """Count right and wrong pixels of int64 bins (B, H, W) where `valid`; the other planes are (B, 1, H, W)."""
        if truth is None:
            raise ValueError("An ErrorTable learns from masks with truth.")
        inside, wrong = mask[:, 0] > 0, (mask[:, 0] > 0) != (truth[:, 0] > 0)
        index = (inside.long() * self._counts.shape[1] + bins.to(mask.device)) * 2 + wrong
        counts = torch.bincount(index[valid[:, 0]], minlength=self._counts.numel())
        self._counts += counts.cpu().reshape(self._counts.shape)

    def finish(self, lacking: str) -> None:
        """Choose the cuts and fill the table; raises RequestError with the sentence `lacking` if nothing was counted."""
        if not self._counts.any():
            raise RequestError(lacking)
        bins = self._counts.shape[1]
        cut = [0, 0]
        for side in (0, 1):
            right, wrong = self._counts[side, :, 0].numpy(), self._counts[side, :, 1].numpy()
            cut[side] = best_prefix(right, wrong)
            # Never rising, so that the decision is a run of bins and not a comb.
            odds = torch.from_numpy(np.minimum.accumulate(np.log((wrong + 0.5) / (right + 0.5))))
            limit = (odds[max(cut[side] - 1, 0)] + odds[min(cut[side], bins - 1)]) / 2
            self.log_odds[side] = decide(odds - limit, torch.arange(bins) < cut[side])
        self.cut = (cut[0], cut[1])

    def error_odds(self, bins: Tensor, mask: Tensor) -> Tensor:
        """Log-odds of an error, float (B, H, W), of int64 bins (B, H, W) and masks (B, 1, H, W)."""
        return self.log_odds[(mask[:, 0] > 0).long(), bins.to(mask.device)]
