"""Assessors that are quick and predictable."""

import torch
from torch import Tensor
from torch.nn import functional as F

from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures


class LocalAssessor(Assessor):
    """Takes bright pixels for the truth, after a mean over 5 x 5 pixels: what is 3 pixels away does not matter."""

    pad_multiple = 32

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return F.avg_pool2d(image.mean(dim=1, keepdim=True), 5, stride=1, padding=2, count_include_pad=False), ()

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        odds = 40 * (features.embedding - 0.5)
        return AssessorOutput(torch.cat([odds, -odds, -odds, odds], dim=1) / 2 + 0 * mask)
