"""Any backbone of timm that gives feature maps at any size, such as DINOv3's or SAM 2.1's, as an image encoder."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from segassess.errors import CheckpointError, ConfigError
from segassess.models.assessor.base import ChannelNorm, resize
from segassess.models.assessor.encoders.base import ImageEncoder, zero_convolution

# Strides of the levels that are read; a plain ViT gives as many levels at stride 16.
STRIDES = (4, 8, 16, 32)
PLAIN = 16


class TimmEncoder(ImageEncoder):
    """A backbone of timm with a narrow embedding at stride 16.

    Args:
        model: name in timm, with the tag of its weights, such as `convnext_tiny.dinov3_lvd1689m`.
        embedding_dim: channels of the embedding, and so the width of the decoder behind it.
        frozen: keep the backbone's weights and statistics in training.

    Raises ConfigError if timm has no such model, or one that does not fit: feature maps at strides 4 to 32, or all at 16, for
    images of any size are needed. Weights are random until `load_public`.
    """

    any_size_graph = False

    def __init__(self, *, model: str, embedding_dim: int = 128, frozen: bool = False) -> None:
        super().__init__()
        self.model, self.embedding_dim, self.frozen = model, embedding_dim, frozen
        self.backbone = _features(model)
        info: Any = self.backbone.feature_info
        self.level_dims, self.level_strides = tuple(info.channels()), tuple(info.reduction())
        self.pad_multiple = max(self.level_strides)
        self._look(model)
        about = timm_config(model)
        self.mean, self.std = about.mean, about.std
        if frozen:
            self.backbone.requires_grad_(False)
        # Level by level what the embedding is made of.
        self._coarse = [level for level, stride in enumerate(self.level_strides) if stride >= PLAIN]
        self.laterals = nn.ModuleList(nn.Conv2d(self.level_dims[level], embedding_dim, 1, bias=False) for level in self._coarse)
        self.norm = ChannelNorm(embedding_dim)
        self.train(self.training)

    def _look(self, model: str) -> None:
        """Refuse a model that does not give what it announces for an image of another size than it was trained on."""
        height, width = 2 * self.pad_multiple, 3 * self.pad_multiple
        expected = [
            (dim, height // stride, width // stride) for dim, stride in zip(self.level_dims, self.level_strides, strict=True)
        ]
        try:
            with torch.no_grad():
                found = [tuple(level.shape[1:]) for level in self.backbone.eval()(torch.zeros(1, 3, height, width))]
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ConfigError(f"encoder.model={model} takes images of one size only ({_first_line(error)}).") from error
        if found != expected:
            raise ConfigError(
                f"encoder.model={model} does not give maps (channels, rows, columns); choose another model of timm."
            )

    def train(self, mode: bool = True) -> "TimmEncoder":
        """Switch modes, but keep a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def extra_stem(self, channels: int) -> nn.Conv2d:
        """See `ImageEncoder.extra_stem`; the geometry is that of the backbone's first convolution."""
        return zero_convolution(self._stem(), channels)

    def _stem(self) -> nn.Conv2d:
        return next(module for module in self.backbone.modules() if isinstance(module, nn.Conv2d))

    def load_public(self, path: Path) -> str:
        """Start from weights of the whole model in a file, in timm's layout or one that timm reads; returns their licence.

        Raises CheckpointError unless every tensor is there and has its shape.
        """
        timm = _timm()
        if not path.is_file():
            raise CheckpointError(f"encoder.weights={path} does not exist.")
        try:
            whole = timm.create_model(self.model, pretrained=True, pretrained_cfg_overlay={"file": str(path)}).state_dict()
        except Exception as error:  # the readers of timm raise as they like
            raise CheckpointError(f"encoder.weights={path} cannot be read as {self.model} ({_first_line(error)}).") from error
        stored = {_plain(name): tensor for name, tensor in whole.items()}
        own = {name: stored.get(_plain(name)) for name in self.backbone.state_dict()}
        if lacking := [name for name, tensor in own.items() if tensor is None]:
            raise CheckpointError(f"encoder.weights={path} lacks {lacking[0]} of {self.model}.")
        self.backbone.load_state_dict(cast(dict[str, Tensor], own))
        return f"{self.model}, licence {timm_config(self.model).license or 'unknown'}"

    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `ImageEncoder.forward`."""
        hook = None if extra is None else self._stem().register_forward_hook(lambda module, inputs, output: output + extra)
        try:
            levels = cast(list[Tensor], self.backbone(image))
        finally:
            if hook is not None:
                hook.remove()
        size = (image.shape[-2] // PLAIN, image.shape[-1] // PLAIN)
        parts = [resize(lateral(levels[level]), size) for lateral, level in zip(self.laterals, self._coarse, strict=True)]
        return self.norm(torch.stack(parts).sum(0)), tuple(levels)


def timm_config(model: str) -> Any:
    """What timm says of a model: `mean`, `std`, `license` and more."""
    return _timm().get_pretrained_cfg(model)


def _features(model: str) -> nn.Module:
    """The backbone, whose levels are the last ones of the strides 4, 8, 16 and 32, or four of a plain ViT."""
    timm = _timm()
    architecture = model.split(".")[0]
    if model not in (*timm.list_models(architecture), *timm.list_pretrained(f"{architecture}.*")):
        like = ", ".join(timm.list_pretrained(f"*{model.split('.')[0]}*")[:3])
        raise ConfigError(f"timm has no model {model!r}" + (f"; it has {like}." if like else "; see timm.list_pretrained()."))
    try:
        found = timm.create_model(model, pretrained=False, features_only=True)
        strides = [level["reduction"] for level in found.feature_info.info]
        if set(strides) == {PLAIN}:
            count = len(strides)
            chosen = [count * part // 4 - 1 for part in (1, 2, 3, 4)] if count >= 4 else list(range(count))
        else:
            chosen = [len(strides) - 1 - strides[::-1].index(stride) for stride in STRIDES]
        return cast(nn.Module, timm.create_model(model, pretrained=False, features_only=True, out_indices=chosen))
    except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
        reason = _first_line(error)
        raise ConfigError(f"encoder.model={model} gives no feature maps at strides 4, 8, 16 and 32, or 16 ({reason}).") from error


def _timm() -> Any:
    import timm

    return timm


def _plain(name: str) -> str:
    """A tensor's name as both forms of a model have it, the whole one and the one that gives features."""
    return name.removeprefix("model.").replace(".", "_")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(" .:")
