"""Segment Anything, for a baseline."""

from dataclasses import dataclass
from typing import Literal

from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class SamOptions:
    """Segment Anything, for the baseline sam_agreement."""

    checkpoint: str | None = option("A published checkpoint.", None, path=True)
    type: Literal["vit_b", "vit_l", "vit_h"] = option("Size of the network.", "vit_b")
