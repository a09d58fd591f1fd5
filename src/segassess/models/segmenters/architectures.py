"""Every segmenter by name, for configs and checkpoints (docs/decisions/0002)."""

from collections.abc import Mapping
from typing import Any

from segassess.errors import ConfigError
from segassess.models.named_parts import check_options, choose
from segassess.models.segmenters.base import Segmenter
from segassess.models.segmenters.deeplabv3plus import DeepLabV3Plus
from segassess.models.segmenters.hrnet import HRNet
from segassess.models.segmenters.ocrnet import OCRNet
from segassess.models.segmenters.smp import SmpSegmenter
from segassess.models.segmenters.transunet import TransUNet
from segassess.models.segmenters.unetformer import UNetFormer

SEGMENTERS: dict[str, type[Segmenter]] = {
    "deeplabv3plus": DeepLabV3Plus,
    "hrnet": HRNet,
    "ocrnet": OCRNet,
    "transunet": TransUNet,
    "unetformer": UNetFormer,
    "smp": SmpSegmenter,
}
_KINDS = {bool: "true or false", int: "a whole number of 1 or more", str: "a name"}


def resolved_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Complete `{"name": ..., "size": ..., **options}` with the defaults of its size, as checkpoints store it.

    A missing size is the first one, a missing or None option has the size's value. Raises ConfigError if a name, size or option
    does not exist, or a value has the wrong type.
    """
    options = dict(spec)
    name, size = options.pop("name", None), options.pop("size", None)
    sizes = choose("segmenter.name", SEGMENTERS, name).SIZES
    size = next(iter(sizes)) if size is None else size
    defaults = choose("segmenter.size", sizes, size)
    check_options("segmenter", str(name), defaults, options)
    chosen = {option: value for option, value in options.items() if value is not None}
    for option, value in chosen.items():
        kind = type(defaults[option])
        if type(value) is not kind or (kind is int and value < 1):
            raise ConfigError(f"segmenter.{option} must be {_KINDS[kind]}, not {value!r}.")
    return {"name": name, "size": size, **defaults, **chosen}


def build_segmenter(spec: Mapping[str, Any]) -> Segmenter:
    """Build a network in training mode; raises ConfigError for a wrong specification or missing pretrained weights."""
    options = resolved_spec(spec)
    name, _ = options.pop("name"), options.pop("size")
    return SEGMENTERS[name](**options)
