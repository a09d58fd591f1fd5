"""Segmenters."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class OwnSegmenter:
    """A segmenter that is built here, on an encoder of timm."""

    name: str = option("Its name.")
    encoder: str | None = option("Encoder, a name of timm or efficientnet_lite0; here and below null is the value of the size.")
    pretrained: bool | None = option("Start from ImageNet weights; all but those of efficientnet_lite0 need the internet.")


@dataclass(frozen=True, kw_only=True)
class DeepLabV3Plus(OwnSegmenter):
    """DeepLabV3+."""

    name: Literal["deeplabv3plus"] = option("Fixed by this file; choose another segmenter with segmenter=NAME.")
    width: int | None = option("Channels of the atrous pyramid and the decoder.", low=1)
    output_stride: Literal[8, 16] | None = option("Stride of the encoder's last features.")
    size: Literal["full", "small"] = option("Fixed by this file; choose another size with segmenter/size=NAME.")


@dataclass(frozen=True, kw_only=True)
class HRNet(OwnSegmenter):
    """HRNetV2."""

    name: Literal["hrnet"] = option("Fixed by this file; choose another segmenter with segmenter=NAME.")
    width: int | None = option("Channels of the joined features.", low=1)
    size: Literal["full", "small"] = option("Fixed by this file; choose another size with segmenter/size=NAME.")


@dataclass(frozen=True, kw_only=True)
class OCRNet(OwnSegmenter):
    """OCRNet."""

    name: Literal["ocrnet"] = option("Fixed by this file; choose another segmenter with segmenter=NAME.")
    width: int | None = option("Channels of the pixel features.", low=1)
    coarse_width: int | None = option("Channels behind the coarse mask.", low=1)
    size: Literal["full", "small"] = option("Fixed by this file; choose another size with segmenter/size=NAME.")


@dataclass(frozen=True, kw_only=True)
class TransUNet(OwnSegmenter):
    """TransUNet."""

    name: Literal["transunet"] = option("Fixed by this file; choose another segmenter with segmenter=NAME.")
    width: int | None = option("Channels of the decoder at stride 16.", low=1)
    token_width: int | None = option("Channels of the transformer's tokens, a multiple of heads.", low=1)
    depth: int | None = option("Layers of the transformer.", low=1)
    heads: int | None = option("Heads of its attention.", low=1)
    size: Literal["full", "small"] = option("Fixed by this file; choose another size with segmenter/size=NAME.")


@dataclass(frozen=True, kw_only=True)
class UNetFormer(OwnSegmenter):
    """UNetFormer."""

    name: Literal["unetformer"] = option("Fixed by this file; choose another segmenter with segmenter=NAME.")
    width: int | None = option("Channels of the decoder, a multiple of heads.", low=1)
    heads: int | None = option("Heads of the attention.", low=1)
    window: int | None = option("Side of an attention window, in positions of the feature map.", low=1)
    size: Literal["full", "small"] = option("Fixed by this file; choose another size with segmenter/size=NAME.")


@dataclass(frozen=True, kw_only=True)
class Smp:
    """Any architecture of segmentation-models-pytorch."""

    name: Literal["smp"] = option("Fixed by this file; choose another segmenter with segmenter=NAME.")
    arch: str | None = option(
        "Unet | UnetPlusPlus | MAnet | Linknet | FPN | PSPNet | DeepLabV3 | DeepLabV3Plus | PAN | UPerNet | Segformer | DPT."
    )
    encoder: str | None = option("Encoder of the library, tu- and a name of timm, or efficientnet_lite0.")
    pretrained: bool | None = option("Start from ImageNet weights; all but those of efficientnet_lite0 need the internet.")
    size: Literal["full", "small"] = option("Fixed by this file; choose another size with segmenter/size=NAME.")


SegmenterOptions: TypeAlias = DeepLabV3Plus | HRNet | OCRNet | TransUNet | UNetFormer | Smp
