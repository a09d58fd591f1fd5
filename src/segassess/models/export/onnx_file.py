"""Writes an assessor as an ONNX file: image and mask in, quality probabilities and decided classes out."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from segassess import quality
from segassess.errors import ConfigError
from segassess.files import atomic_path
from segassess.models.assessor.base import Assessor
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.calibration import Calibration
from segassess.models.export.antialiasing import antialiased_resizing
from segassess.models.export.optional import optional
from segassess.models.onnx_graph import CODES, IMAGE, MASK, PROBABILITIES, GraphMetadata
from segassess.quality import Decoding
from segassess.version import __version__

# The last is the newest that torch's tracing exporter writes.
OPSETS = range(18, 21)
# Of graphs that take one size only: the window of predict.py.
DEFAULT_SIZE = 640
# One ONNX file cannot be larger.
MAX_BYTES = 2**31


class QualityGraph(nn.Module):
    """An assessor with a fixed decoding, from pixels to quality probabilities and the classes that `calibration` cuts decide."""

    def __init__(self, assessor: Assessor, decoding: Decoding, calibration: Calibration) -> None:
        super().__init__()
        self.assessor = assessor
        self.decoding = decoding
        self.calibration = calibration

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Uncalibrated probabilities float32 (B, 4, H, W) and quality codes uint8 (B, H, W).

        `image` is float32 (B, 3, H, W) in [0, 1], `mask` float32 (B, 1, H, W) in {0, 1}.
        """
        probabilities = quality.probabilities(self.assessor(image, mask).quality_logits, mask, self.decoding)
        return probabilities, quality.decode(self.calibration.for_decisions(probabilities)).to(torch.uint8)


def write_onnx(path: Path, loaded: LoadedAssessor, *, size: int | None = None, opset: int = OPSETS[0]) -> GraphMetadata:
    """Write the whole graph to one self-describing file; the assessor must be on the CPU.

    The batch is dynamic. The graph takes `size` x `size` px; without `size` it takes any, or `DEFAULT_SIZE` if the encoder
    allows only one (`ImageEncoder.any_size_graph`). Each mask costs an encoding of its image. Raises ConfigError if `size` or
    `opset` is not allowed or the assessor cannot be exported, RequestError if a package is missing or the folder cannot be
    written.
    """
    onnx = optional("onnx")
    assessor = loaded.assessor
    if opset not in OPSETS:
        raise ConfigError(f"onnx.opset must be from {OPSETS[0]} to {OPSETS[-1]}, not {opset}.")
    encoder = assessor.image_encoder
    multiple = assessor.pad_multiple
    if multiple % encoder.pad_multiple:
        raise ConfigError("An assessor with assessor.padding=reference cannot be exported for all image sizes; use padding=pad.")
    size = size if encoder.any_size_graph else size or DEFAULT_SIZE
    if size is not None and (size < multiple or size % multiple):
        raise ConfigError(f"onnx.size must be null or a multiple of {multiple} px, which the assessor pads to, not {size}.")
    bytes_ = sum(tensor.numel() * 4 for tensor in assessor.state_dict().values())
    if bytes_ >= MAX_BYTES:
        raise ConfigError(
            f"The weights take {bytes_ / 2**30:.1f} GiB and an ONNX file holds less than 2; leave onnx out of formats."
        )

    metadata = GraphMetadata(loaded.description.as_dict(), loaded.digest, __version__, multiple, size)
    with atomic_path(path) as beside:
        graph = QualityGraph(assessor, loaded.description.decoding, loaded.description.calibration)
        _trace(graph.eval(), beside, metadata, opset)
        model = onnx.load(beside)
        onnx.helper.set_model_props(model, metadata.as_properties())
        onnx.save(model, beside)
    return metadata


def _trace(graph: QualityGraph, path: Path, metadata: GraphMetadata, opset: int) -> None:
    # Odd multiples, so that no size is by chance the one at which something need not be resized.
    height, width = (metadata.size,) * 2 if metadata.size else (5 * metadata.pad_multiple, 7 * metadata.pad_multiple)
    image, mask = torch.rand(2, 3, height, width), (torch.rand(2, 1, height, width) > 0.5).float()
    axes = {0: "batch"} if metadata.size else {0: "batch", 2: "height", 3: "width"}
    codes = {max(0, axis - 1): name for axis, name in axes.items()}
    with warnings.catch_warnings(), torch.no_grad(), antialiased_resizing():
        # Comparing outputs (see `agreement`) finds traces that do not generalise; warnings do not help.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (image, mask),
            path,
            input_names=[IMAGE, MASK],
            output_names=[PROBABILITIES, CODES],
            dynamic_axes={**dict.fromkeys((IMAGE, MASK, PROBABILITIES), axes), CODES: codes},
            opset_version=opset,
            # Why not the exporter by torch.export: docs/export.md.
            dynamo=False,
        )
