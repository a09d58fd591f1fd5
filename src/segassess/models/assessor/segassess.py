"""SegAssess as its paper composes it: image encoder, mask as dense prompt, four-class mask decoder, edge branch.

Each departure from the published code is a switch; the defaults reproduce it at image sizes that are multiples of 16.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from torch import Tensor, nn

from segassess.errors import ConfigError, InputError
from segassess.models.assessor.base import Assessor, AssessorOutput, ImageFeatures, resize
from segassess.models.assessor.edge_branch import NUM_LEVELS, EdgeBranch
from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.assessor.mask_decoder import MaskDecoder
from segassess.models.assessor.prompt_encoder import PromptEncoder, PromptPath

InputScaling: TypeAlias = Literal["reference", "encoder"]
Padding: TypeAlias = Literal["pad", "reference"]

STRIDE = 16


@dataclass(frozen=True)
class SegAssessFeatures(ImageFeatures):
    """Image features plus all that depends on the image alone, shared by all masks of an image.

    `hq_features` is float (B, C / 8, h/4, w/4), see `MaskDecoder.hq_features`; `edge_logits` float (B, 1, h, w), the truth's
    boundary; either is None without its part.
    """

    hq_features: Tensor | None = None
    edge_logits: Tensor | None = None


class LevelAdapter(nn.Module):
    """Projects an encoder level to the common width and the stride-16 grid; only for encoders whose levels differ."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(dim, width, 1)

    def forward(self, level: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, D_i, h_i, w_i) -> (B, C, gh, gw)."""
        # Resampling commutes with a 1 x 1 convolution and is cheaper first; antialiased, because levels shrink by up to 4.
        adapted: Tensor = self.proj(resize(level, grid, antialias=True))
        return adapted


class SegAssess(Assessor):
    """The paper's assessor behind any image encoder with four levels; the decoder has the width of its embedding.

    `prompt` is the path of `PromptEncoder`. `input_scaling` "reference" feeds images in [0, 1], "encoder" applies the encoder's
    mean and std. `padding` "pad" pads to the encoder's multiple and crops; "reference" repeats the published code at other
    sizes: it drops pixels beyond the last whole token and stretches the maps over them. Without `edge_branch` the coarse logits
    are final; without `semantic_filter` the edge branch reads the unfiltered deepest level; without `hq_tokens` the coarse
    logits are SAM's.
    Raises ConfigError for an unknown value or an encoder that does not fit.

    State dict: `image_encoder.*`, `prompt_encoder.*`, `mask_decoder.*` (SAM's and HQ-SAM's names below), `edge_branch.*`, and
    `level_adapters.*` for encoders whose levels differ in width or stride.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        *,
        prompt: PromptPath = "reference",
        input_scaling: InputScaling = "reference",
        padding: Padding = "pad",
        edge_branch: bool = True,
        semantic_filter: bool = True,
        hq_tokens: bool = True,
    ) -> None:
        super().__init__()
        for key, value, allowed in (
            ("prompt", prompt, get_args(PromptPath)),
            ("input_scaling", input_scaling, get_args(InputScaling)),
            ("padding", padding, get_args(Padding)),
        ):
            if value not in allowed:
                raise ConfigError(f"assessor.{key} must be one of {', '.join(allowed)}, not {value!r}.")
        width, dims, strides = encoder.embedding_dim, encoder.level_dims, encoder.level_strides
        if width % STRIDE or len(dims) != NUM_LEVELS:
            raise ConfigError(
                f"The encoder has {width} channels and {len(dims)} levels, but SegAssess needs a multiple of {STRIDE} channels "
                f"and {NUM_LEVELS} levels; choose another encoder."
            )
        self.pad_multiple = 1 if padding == "reference" else encoder.pad_multiple
        uniform = set(strides) == {STRIDE} and len(set(dims)) == 1
        level_dim = dims[0] if uniform else width
        # Only levels that are read get an adapter: parameters without gradients would stall distributed training.
        used = NUM_LEVELS if edge_branch else 1 if hq_tokens else 0

        self._take(encoder, scaling=input_scaling == "encoder")
        self.level_adapters = None if uniform else nn.ModuleList(LevelAdapter(dim, width) for dim in dims[:used])
        self.prompt_encoder = PromptEncoder(width, prompt)
        self.mask_decoder = MaskDecoder(width, level_dim if hq_tokens else None)
        self.edge_branch = EdgeBranch(level_dim, semantic_filter) if edge_branch else None

    def encode_image(self, image: Tensor) -> SegAssessFeatures:
        """See `Assessor.encode_image`; includes edge logits and HQ features."""
        return self._share(super().encode_image(image))

    def _encode(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        height, width = image.shape[-2:]
        if min(height, width) < STRIDE:
            raise InputError(
                f"An image of {height} x {width} px is below the {STRIDE} px that padding='reference' needs; use padding='pad'."
            )
        embedding, levels = super()._encode(image)
        if self.level_adapters is not None:
            grid = (embedding.shape[-2], embedding.shape[-1])
            levels = tuple(adapter(level, grid) for adapter, level in zip(self.level_adapters, levels, strict=False))
        return embedding, levels

    def _share(self, features: ImageFeatures) -> SegAssessFeatures:
        decoder, branch = self.mask_decoder, self.edge_branch
        return SegAssessFeatures(
            **vars(features),
            hq_features=decoder.hq_features(features.embedding, features.levels[0]) if decoder.has_hq_tokens else None,
            edge_logits=branch(features.levels, features.padded_size) if branch is not None else None,
        )

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        shared = features if isinstance(features, SegAssessFeatures) else self._share(features)
        size, grid = features.padded_size, (features.embedding.shape[-2], features.embedding.shape[-1])

        prompt = self.prompt_encoder(mask, grid)  # (B, C, gh, gw)
        positions = self.prompt_encoder.positions(grid)  # (1, C, gh, gw)
        sam_logits, hq_logits = self.mask_decoder(features.embedding, prompt, positions, shared.hq_features)  # (B, 4, 4gh, 4gw)
        coarse_logits = resize(sam_logits if hq_logits is None else sam_logits + hq_logits, size)  # (B, 4, h, w)

        quality_logits = coarse_logits
        if self.edge_branch is not None and shared.edge_logits is not None:
            quality_logits = self.edge_branch.fusion(coarse_logits, shared.edge_logits)  # (B, 4, h, w)
        hq = None if hq_logits is None else resize(hq_logits, size)
        return AssessorOutput(quality_logits, shared.edge_logits, coarse_logits, resize(sam_logits, size), hq)
