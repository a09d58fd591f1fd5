"""Compositions of assessors, and their image encoders."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segassess.options.option import option

Backend: TypeAlias = Literal["torch", "onnx", "onnx_int8", "openvino", "openvino_int8"]
BACKEND_HELP = (
    "What computes the network: torch, or onnxruntime or OpenVINO with a graph that is made once of the checkpoint, in 32 or in "
    "part 8 bits (docs/export.md); null is torch, and onnxruntime for a graph."
)


@dataclass(frozen=True, kw_only=True)
class Compact:
    """The improved composition."""

    name: Literal["compact"] = option("Fixed by this file; choose another composition with assessor=NAME.")
    depth: int = option("Layers of the two-way transformer.", low=1)
    edge_branch: bool = option("Predict the truth's boundary and let it gate the class logits.")
    object_branch: bool = option("Estimate the truth from the image alone, and start from its differences to the mask.")
    input_scaling: Literal["encoder", "reference"] = option(
        "Scale images as the encoder's weights expect, or feed them in [0, 1]."
    )


@dataclass(frozen=True, kw_only=True)
class Twin:
    """An encoder of the image, and a light one of the mask, joined at every stride."""

    name: Literal["twin"] = option("The composition that this file is for; another one is assessor=NAME.")
    outline_means: bool = option("Let a pixel of the mask hear its neighbours in the mask.")
    colours: bool = option("Let the second encoder read the image's colours too, and not the mask alone.")


@dataclass(frozen=True, kw_only=True)
class SegAssess:
    """The paper's composition."""

    name: Literal["segassess"] = option("Fixed by this file; choose another composition with assessor=NAME.")
    prompt: Literal["reference", "antialiased"] = option("How the encoded mask is reduced to the token grid.")
    input_scaling: Literal["reference", "encoder"] = option(
        "Feed images in [0, 1] as the reference does, or scale them as the encoder's weights expect."
    )
    padding: Literal["pad", "reference"] = option(
        "At sizes that are not multiples of 16, pad and crop the result, or drop the rest and stretch as the reference does."
    )
    edge_branch: bool = option("The edge-guided branch (EGC).")
    semantic_filter: bool = option("Its aggregated semantic filter (ASF).")
    hq_tokens: bool = option("HQ-SAM's tokens and features.")


@dataclass(frozen=True, kw_only=True)
class ConcatUnet:
    """A baseline that is trained like an assessor: image and mask as four channels of a U-Net."""

    name: Literal["concat_unet"] = option("Fixed by this file; choose another composition with assessor=NAME.")
    width: int = option("Channels of the decoder at stride 8; they halve with each doubling of the size.", multiple=8, low=8)


@dataclass(frozen=True, kw_only=True)
class AqsNet:
    """A baseline that is trained like an assessor: AQSNet's two heads."""

    name: Literal["aqsnet"] = option("Fixed by this file; choose another composition with assessor=NAME.")
    width: int = option("Channels of the fused features; each scale of the encoder has half as many.", multiple=2, low=2)


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite:
    """EfficientNet-Lite."""

    name: Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"] = option(
        "Fixed by this file; choose another encoder with encoder=NAME."
    )
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
    weights: str | None = option(
        "Segmenter (a file of train.py task=segmenter) whose backbone starts a training; null: ImageNet weights or random ones.",
        path=True,
    )


@dataclass(frozen=True, kw_only=True)
class SamVit:
    """SAM's vision transformers."""

    name: Literal["sam_vit_b", "sam_vit_l", "sam_vit_h", "sam_vit_tiny"] = option(
        "Fixed by this file; choose another encoder with encoder=NAME."
    )
    recompute: bool = option(
        "Keep only what goes from block to block in training, and compute the rest again in the backward pass, for less memory."
    )
    weights: str | None = option("Checkpoint of SAM or HQ-SAM to start a training from; null starts at random.", path=True)


@dataclass(frozen=True, kw_only=True)
class Timm:
    """Any backbone of timm that gives feature maps at any size."""

    name: Literal["timm"] = option("Fixed by this file; choose another encoder with encoder=NAME.")
    model: str = option("Model of timm, with the tag of its weights, such as convnext_tiny.dinov3_lvd1689m.")
    embedding_dim: int = option("Channels of the embedding and width of the decoder.", multiple=16, low=16)
    frozen: bool = option("Keep the backbone's weights in training.")
    weights: str | None = option("File of the model's weights to start a training from; null starts at random.", path=True)


AssessorOptions: TypeAlias = Compact | Twin | SegAssess | ConcatUnet | AqsNet
EncoderOptions: TypeAlias = EfficientNetLite | SamVit | Timm


@dataclass(frozen=True, kw_only=True)
class StoredAssessor:
    """What scripts need beside a checkpoint that does not describe its assessor."""

    encoder: EncoderOptions | None = option(
        "Image encoder, a group; only for checkpoints without a description (the reference's)."
    )
    assessor: AssessorOptions | None = option(
        "Composition, a group; only for checkpoints without a description (the reference's)."
    )
