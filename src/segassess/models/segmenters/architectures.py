"""Every segmenter by name: the one place where a name in a config or a checkpoint becomes a network (docs/decisions/0002)."""

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
    """A specification that no longer leans on `SIZES`: what a checkpoint stores.

    Args:
        spec: `{"name": one of SEGMENTERS, "size": one of its SIZES, **options}`; without a size the first, and an option that is
            missing or None has the value of the size.

    Returns:
        name, size and every option; str, bool and int only.

    Raises:
        ConfigError: if a name, a size or an option does not exist, or a value is of another kind.
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
    """The network that a specification describes, in training mode; see `resolved_spec`.

    Raises:
        ConfigError: if the specification is wrong, or pretrained weights are wanted and cannot be had.
    """
    options = resolved_spec(spec)
    name, _ = options.pop("name"), options.pop("size")
    return SEGMENTERS[name](**options)
