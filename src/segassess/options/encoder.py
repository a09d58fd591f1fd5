"""Image encoders of assessors."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite0:
    """EfficientNet-Lite0."""

    name: Literal["efficientnet_lite0"] = option("Fixed by this file; choose another encoder with encoder=NAME.")
    pretrained: bool = option("Start from ImageNet weights.")
    embedding_dim: int = option("Channels of the embedding and width of the decoder.", multiple=16, low=16)
    freeze_norm: bool = option(
        "Keep batch statistics fixed, so that training does not depend on the batch or on the number of processes."
    )
    frozen_stages: int = option(
        "First stages of the backbone, with its stem, that keep their weights in training; two save a third of a step.",
        low=0,
        high=7,
    )


@dataclass(frozen=True, kw_only=True)
class SamVit:
    """SAM's vision transformers."""

    name: Literal["sam_vit_b", "sam_vit_l", "sam_vit_h", "sam_vit_tiny"] = option(
        "Fixed by this file; choose another encoder with encoder=NAME."
    )
    weights: str | None = option("Checkpoint of SAM or HQ-SAM to start a training from; null starts at random.", path=True)


EncoderOptions: TypeAlias = EfficientNetLite0 | SamVit
