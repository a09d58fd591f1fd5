"""Lets a pixel of the mask hear its neighbours in the mask: a house that is wrong is wrong as a whole.

Outside the mask no outline bounds what is missing, and means would blur small missing objects away.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.models.assessor.base import resize
from segassess.quality import FP, TP

# Standard deviations in pixels of the means, which are taken at this stride.
SIGMAS, STRIDE = (4, 16), 4
# Weights at the start, of the pixel and of the means.
_START = (0.5, 0.25, 0.25)


class OutlineMeans(nn.Module):
    """Replaces the log-odds of FP in the mask by a weighted sum of them and of their means around a pixel.

    The means have Gaussian weights and do not cross the mask's outline. It learns three weights.
    """

    # Weights that change nothing.
    NEUTRAL: ClassVar = (1.0, 0.0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(_START))

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Class logits (B, 4, h, w), of a mask (B, 1, h, w) in {0, 1}, whose h and w are multiples of `STRIDE`; same shape."""
        odds = logits[:, [FP]] - logits[:, [TP]]
        coarse = F.avg_pool2d(torch.cat([mask * odds, mask], dim=1), STRIDE)
        heard = [odds]
        for sigma in SIGMAS:
            total, weight = resize(_blurred(coarse, sigma / STRIDE), (mask.shape[-2], mask.shape[-1])).chunk(2, dim=1)
            heard.append(total / weight.clamp(min=1e-6))
        joined = (torch.cat(heard, dim=1) * self.weights.to(odds).view(1, -1, 1, 1)).sum(1, keepdim=True)
        half = mask * (joined - odds) / 2
        change = torch.zeros_like(logits)
        change[:, [TP]], change[:, [FP]] = -half, half
        return logits + change


def _blurred(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian-weighted sums (B, C, h, w); what lies beyond the border counts nothing."""
    radius = math.ceil(3 * sigma)
    places = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.softmax(-((places / sigma) ** 2) / 2, dim=0).to(planes)
    single = planes.flatten(0, 1)[:, None]
    rows = F.conv2d(single, kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, radius)).view_as(planes)
