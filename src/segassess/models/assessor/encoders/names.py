"""Every image encoder by name."""

from collections.abc import Callable
from functools import partial

from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.assessor.encoders.efficientnet_lite import VARIANTS, EfficientNetLite
from segassess.models.assessor.encoders.sam_vit import SIZES, SamVitEncoder
from segassess.models.assessor.encoders.timm_encoder import TimmEncoder

ENCODERS: dict[str, Callable[..., ImageEncoder]] = {
    **{name: partial(EfficientNetLite, name) for name in VARIANTS},
    **{name: partial(SamVitEncoder, *size) for name, size in SIZES.items()},
    "timm": TimmEncoder,
}
