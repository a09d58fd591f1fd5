"""Reads checkpoints of any known layout and loads them whole or not at all.

Layouts: `own` (this package), `reference` (the authors of SegAssess: `module.` prefixes, the encoder twice, `TCCA.*` for the
edge branch), `sam` (Meta's Segment Anything) and `hq_sam` (Segment Anything in High Quality).
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from segassess.errors import CheckpointError
from segassess.quality import NUM_CLASSES

Layout: TypeAlias = Literal["own", "reference", "sam", "hq_sam"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

TORCH_SUFFIXES = (".pkl", ".pth", ".pt", ".ckpt", ".bin")
SAFETENSORS_SUFFIX = ".safetensors"

# Wrappers around the tensors, and prefixes of their names in the order in which they are stripped: of a Lightning module
# that holds an assessor, of DistributedDataParallel, and of the reference's second copy of the foundation model.
WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("assessor.", "module.", "sam.")

# The reference's names of the edge branch, and ours; all other names are SAM's or HQ-SAM's in both.
REFERENCE_NAMES: tuple[tuple[str, str], ...] = (
    ("TCCA.TFA.CBAM.mlp.", "edge_branch.semantic_filter.attention.channel_mlp."),
    ("TCCA.TFA.CBAM.conv.", "edge_branch.semantic_filter.attention.spatial_conv."),
    ("TCCA.TFA.filter_13.", "edge_branch.semantic_filter.strip_1x3."),
    ("TCCA.TFA.filter_31.", "edge_branch.semantic_filter.strip_3x1."),
    ("TCCA.TFA.filter_15.", "edge_branch.semantic_filter.strip_1x5."),
    ("TCCA.TFA.filter_51.", "edge_branch.semantic_filter.strip_5x1."),
    ("TCCA.TFA.dc_1.atrous_convolution.", "edge_branch.semantic_filter.atrous.0.conv."),
    ("TCCA.TFA.dc_1.bn.", "edge_branch.semantic_filter.atrous.0.norm."),
    ("TCCA.TFA.dc_2.atrous_convolution.", "edge_branch.semantic_filter.atrous.1.conv."),
    ("TCCA.TFA.dc_2.bn.", "edge_branch.semantic_filter.atrous.1.norm."),
    ("TCCA.TFA.dc_3.atrous_convolution.", "edge_branch.semantic_filter.atrous.2.conv."),
    ("TCCA.TFA.dc_3.bn.", "edge_branch.semantic_filter.atrous.2.norm."),
    ("TCCA.side1.", "edge_branch.side_heads.0."),
    ("TCCA.side2.", "edge_branch.side_heads.1."),
    ("TCCA.side3.", "edge_branch.side_heads.2."),
    ("TCCA.side4.", "edge_branch.side_heads.3."),
    ("TCCA.side4_w.", "edge_branch.weight_head."),
    ("TCCA.ada_learner.conv1.", "edge_branch.adaptive_weights.0."),
    ("TCCA.ada_learner.conv2.", "edge_branch.adaptive_weights.1."),
    ("TCCA.ada_learner.conv3.", "edge_branch.adaptive_weights.2."),
    ("TCCA.BPM.conv_in_x.", "edge_branch.fusion.quality_in."),
    ("TCCA.BPM.conv_in_c.", "edge_branch.fusion.edge_in."),
    ("TCCA.BPM.CA.conv_in_q.", "edge_branch.fusion.gate.query."),
    ("TCCA.BPM.CA.conv_in_k.", "edge_branch.fusion.gate.key."),
    ("TCCA.BPM.CA.conv_in_v.", "edge_branch.fusion.gate.value."),
    ("TCCA.BPM.CA.conv_out.", "edge_branch.fusion.gate.out."),
)

# Parts of the foundation models; the rest of an assessor then starts at random, which the report lists.
SAM_PARTS = (
    "image_encoder.",
    "prompt_encoder.",
    "mask_decoder.transformer.",
    "mask_decoder.iou_token.",
    "mask_decoder.mask_tokens.",
    "mask_decoder.output_upscaling.",
    "mask_decoder.output_hypernetworks_mlps.",
    "mask_decoder.iou_prediction_head.",
)
HQ_PARTS = (
    "mask_decoder.hf_token.",
    "mask_decoder.hf_mlps.",
    "mask_decoder.compress_vit_feat.",
    "mask_decoder.embedding_encoder.",
    "mask_decoder.embedding_maskfeature.",
)
NEEDED: dict[Layout, tuple[str, ...]] = {"own": ("",), "reference": ("",), "sam": SAM_PARTS, "hq_sam": SAM_PARTS + HQ_PARTS}


@dataclass(frozen=True)
class LoadReport:
    """The fate of every tensor of a checkpoint, under the model's names (unexpected: the checkpoint's).

    `missing` tensors keep the model's values; `misshapen` are (name, shape in the checkpoint, shape in the model) of skipped
    ones; `loaded` is empty if the checkpoint was refused.
    """

    layout: Layout
    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for a log; it names the parts that keep their initial values."""
        parts = sorted({".".join(name.split(".")[:2]) for name in self.missing})
        text = f"layout {self.layout}: {len(self.loaded)} tensors loaded"
        if parts:
            text += f"; {len(self.missing)} not in the checkpoint and left as initialised ({', '.join(parts)})"
        if self.unexpected:
            text += f"; {len(self.unexpected)} in the checkpoint have no place in the model ({self.unexpected[0]}, ...)"
        return "; ".join([text, *self.notes]) + "."


class MisfitError(CheckpointError):
    """A checkpoint that lacks a tensor the model needs; `report` lists all, the message only the first."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors onto the CPU by name, without running code from a pickle.

    Takes `.safetensors` or a torch file (`.pkl .pth .pt .ckpt .bin`) with a state dict at the top or under `state_dict`,
    `model` or `model_state_dict`. Raises CheckpointError if the file is missing, unreadable, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist; check the path.")
    if path.suffix not in (SAFETENSORS_SUFFIX, *TORCH_SUFFIXES):
        raise CheckpointError(
            f"{path} must end in one of {', '.join((SAFETENSORS_SUFFIX, *TORCH_SUFFIXES))}, not in {path.suffix!r}; "
            "rename it or choose another checkpoint."
        )
    try:
        content: Any = load_file(path) if path.suffix == SAFETENSORS_SUFFIX else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not opened for safety, as it is no torch file or holds more than tensors and plain values; "
            "save only its state dict with torch.save."
        ) from error
    except Exception as error:  # undocumented, and different by version of the readers
        raise CheckpointError(f"{path} cannot be read: it is damaged or no checkpoint; download or save it again.") from error
    tensors = _named_tensors(content)
    if not tensors:
        raise CheckpointError(f"{path} holds no named tensors; give a checkpoint with a state dict.")
    return tensors


def _named_tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            return _named_tensors(content[wrapper])
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def canonical_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without `assessor.`, `module.` and `sam.`, in this order; raises CheckpointError if two different tensors collide."""
    canonical: dict[str, Tensor] = {}
    for full_name, tensor in tensors.items():
        name = full_name
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if name in canonical and not _same(canonical[name], tensor):
            raise CheckpointError(f"The checkpoint holds two different tensors for {name}; save it again from one model.")
        canonical.setdefault(name, tensor)
    return canonical


def _same(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return first.is_meta or second.is_meta or torch.equal(first, second)


def from_reference(name: str) -> str:
    """Our name of a tensor with the reference's canonical name (see `canonical_names`)."""
    for theirs, ours in REFERENCE_NAMES:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def detect_layout(tensors: Mapping[str, Tensor]) -> Layout:
    """Tell the layout from canonical names; `own` unless a name marks another one."""
    if any(name.startswith("TCCA.") for name in tensors):
        return "reference"
    if any(name.startswith("mask_decoder.hf_mlp.") for name in tensors):
        return "hq_sam"
    ours = ("edge_branch.", "mask_decoder.hf_mlps.", "level_adapters.")
    if "mask_decoder.mask_tokens.weight" in tensors and not any(name.startswith(ours) for name in tensors):
        return "sam"
    return "own"


def load_weights(
    model: nn.Module, tensors: Mapping[str, Tensor], layout: Layout | None = None, *, file: str | Path = "the checkpoint"
) -> LoadReport:
    """Copy tensors of `read_tensors` into a model in place, whole or not at all; layout None detects it.

    `own` fits any module, other layouts a `SegAssess`; `own` and `reference` must fill the whole model, `sam` and `hq_sam` the
    parts they have. Raises MisfitError, naming `file`, if a needed tensor is missing or misshapen; the model is then unchanged.
    """
    given = canonical_names(tensors)
    layout = layout or detect_layout(given)
    notes: tuple[str, ...] = ()
    if layout == "reference":
        given = {from_reference(name): tensor for name, tensor in given.items()}
    elif layout == "hq_sam":
        given, notes = _hq_sam_to_four_classes(given)

    target = model.state_dict()
    missing = tuple(name for name in target if name not in given)
    unexpected = tuple(name for name in given if name not in target)
    misshapen = tuple(
        (name, tuple(given[name].shape), tuple(target[name].shape))
        for name in target
        if name in given and given[name].shape != target[name].shape
    )
    needed = NEEDED[layout]
    reasons = []
    if lacking := [name for name in missing if name.startswith(needed)]:
        reasons.append(f"{_count(lacking)} missing (first: {lacking[0]})")
    if unfit := [entry for entry in misshapen if entry[0].startswith(needed)]:
        name, found, wanted = unfit[0]
        reasons.append(f"{_count(unfit)} of another shape (first: {name}, {found} instead of {wanted})")
    if reasons:
        raise MisfitError(
            f"{file}, read in the layout {layout!r}, does not fit the model: {' and '.join(reasons)}; "
            "choose the encoder= and assessor= of the checkpoint, or another checkpoint.",
            LoadReport(layout, (), missing, unexpected, misshapen, notes),
        )
    left_out = {name for name, _, _ in misshapen}
    loaded = tuple(name for name in target if name in given and name not in left_out)
    with torch.no_grad():
        for name in loaded:
            target[name].copy_(given[name])
    return LoadReport(layout, loaded, missing, unexpected, misshapen, notes)


def _count(names: Sequence[object]) -> str:
    return "1 needed tensor is" if len(names) == 1 else f"{len(names)} needed tensors are"


def load_checkpoint(model: nn.Module, path: str | Path) -> LoadReport:
    """`read_tensors` and `load_weights` in one call."""
    return load_weights(model, read_tensors(path), file=path)


def _hq_sam_to_four_classes(given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Copy HQ-SAM's one HQ token and hypernetwork to all four classes."""
    fitted: dict[str, Tensor] = {}
    for name, tensor in given.items():
        if name == "mask_decoder.hf_token.weight" and tensor.shape[0] == 1:
            fitted[name] = tensor.expand(NUM_CLASSES, -1)
        elif name.startswith("mask_decoder.hf_mlp."):
            rest = name.removeprefix("mask_decoder.hf_mlp.")
            fitted.update({f"mask_decoder.hf_mlps.{index}.{rest}": tensor for index in range(NUM_CLASSES)})
        else:
            fitted[name] = tensor
    return fitted, (f"HQ-SAM's one HQ token and hypernetwork were copied to all {NUM_CLASSES} classes",)
