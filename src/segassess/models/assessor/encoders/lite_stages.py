"""The networks EfficientNet-Lite (arXiv 1905.11946, without squeeze-and-excitation and with ReLU6), up to their last stage.

They are timm's `tf_efficientnet_lite0` and so on with `features_only=True`: the same modules, names of weights, random starting
weights and numbers. timm itself imports all its networks and torchvision, which every prediction would have to wait for.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

_STEM = 32
# Kernel size, stride of the first block, and expansion of each stage.
_STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
# Stages whose output is a level, at strides 4, 8, 16 and 32.
_LEVELS = (1, 2, 4, 6)


@dataclass(frozen=True)
class LiteSize:
    """What the sizes of EfficientNet-Lite differ in: blocks and output channels of each of the seven stages."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...]

    @property
    def level_dims(self) -> tuple[int, ...]:
        """Channels of the levels at strides 4, 8, 16 and 32."""
        return tuple(self.channels[stage] for stage in _LEVELS)


LITE0 = LiteSize((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320))
LITE1 = LiteSize((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320))
LITE2 = LiteSize((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352))


class _Convolution(nn.Conv2d):
    """A convolution; if it has a stride, padded as in TensorFlow: an output per `stride` pixels, more at the lower right."""

    def forward(self, input: Tensor) -> Tensor:
        if self.stride == (1, 1):
            return super().forward(input)
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in input.shape[-2:]]
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if padding == [kernel - stride] * 2 and padding[0] % 2 and not tracing:
            # Where one more is padded below than above, as on sides that are multiples of the stride, a kernel with an upper row
            # and a left column of zeros gives the same numbers, without a padded copy of the planes. A traced graph pads those.
            weight = F.pad(self.weight, (1, 0, 1, 0))
            return F.conv2d(input, weight, self.bias, stride, padding[0] // 2 + 1, groups=self.groups)
        height, width = padding
        padded = F.pad(input, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(padded)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return _Convolution(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)


class _Norm(nn.BatchNorm2d):
    """Batch normalisation, then ReLU6 unless `linear`."""

    def __init__(self, channels: int, *, linear: bool = False) -> None:
        super().__init__(channels, eps=1e-3)
        self.linear = linear

    def forward(self, input: Tensor) -> Tensor:
        normed = super().forward(input)
        return normed if self.linear else F.relu6(normed, inplace=True)


def _folded(norm: nn.Module, convolution: nn.Conv2d) -> nn.Module:
    """Change a convolution to do the normalisation after it, with its statistics as they are; returns what is left to do."""
    if not isinstance(norm, _Norm):  # it was folded before
        return norm
    assert norm.running_mean is not None and norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return nn.Identity() if norm.linear else nn.ReLU6(inplace=True)


class _Separable(nn.Module):
    """A depthwise and a pointwise convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1: nn.Module = _Norm(inputs)
        self.conv_pw = _convolution(inputs, outputs, 1)
        self.bn2: nn.Module = _Norm(outputs, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.bn2(self.conv_pw(self.bn1(self.conv_dw(x)))))

    def fold_norms(self) -> None:
        """See `LiteStages.fold_norms`."""
        self.bn1, self.bn2 = _folded(self.bn1, self.conv_dw), _folded(self.bn2, self.conv_pw)


class _InvertedResidual(nn.Module):
    """MobileNetV2's block (arXiv 1801.04381): expand, convolve each channel, project; added to its input if they are alike."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.conv_pw = _convolution(inputs, inner, 1)
        self.bn1: nn.Module = _Norm(inner)
        self.conv_dw = _convolution(inner, inner, kernel, stride, groups=inner)
        self.bn2: nn.Module = _Norm(inner)
        self.conv_pwl = _convolution(inner, outputs, 1)
        self.bn3: nn.Module = _Norm(outputs, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))
        y = self.bn3(self.conv_pwl(y))
        return cast(Tensor, y + x if self.residual else y)

    def fold_norms(self) -> None:
        """See `LiteStages.fold_norms`."""
        self.bn1, self.bn2 = _folded(self.bn1, self.conv_pw), _folded(self.bn2, self.conv_dw)
        self.bn3 = _folded(self.bn3, self.conv_pwl)


class LiteStages(nn.Module):
    """Stem and seven stages: an image (B, 3, H, W) gives levels of `size.level_dims` channels at strides 4, 8, 16, 32."""

    def __init__(self, size: LiteSize) -> None:
        super().__init__()
        self.conv_stem = _convolution(3, _STEM, 3, 2)
        self.bn1 = _Norm(_STEM)
        # timm draws weights for two layers that it only tries; without them, no seed would start a training as it did with timm.
        for _ in range(2):
            nn.Conv2d(8, 8, 1)
        stages, inputs = [], _STEM
        for count, outputs, (kernel, stride, expansion) in zip(size.blocks, size.channels, _STAGES, strict=True):
            blocks: list[nn.Module] = []
            for index in range(count):
                step = 1 if index else stride
                if expansion == 1:
                    blocks.append(_Separable(inputs, outputs, kernel, step))
                else:
                    blocks.append(_InvertedResidual(inputs, outputs, kernel, step, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))

    def forward(self, image: Tensor) -> list[Tensor]:
        """The four levels; sides that are no multiple of 32 are rounded up."""
        x: Tensor = self.bn1(self.conv_stem(image))
        levels = []
        for index, stage in enumerate(self.blocks):
            x = stage(x)
            if index in _LEVELS:
                levels.append(x)
        return levels

    def fold_norms(self) -> None:
        """Let the stages' convolutions do the batch normalisation that follows them: for evaluation only, equal up to rounding.

        That of the stem stays, because other planes may be added before it, see `EfficientNetLite.extra_stem`.
        """
        for module in self.blocks.modules():
            if isinstance(module, _Separable | _InvertedResidual):
                module.fold_norms()
