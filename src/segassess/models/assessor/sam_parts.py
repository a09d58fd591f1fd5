"""Layers and networks of Segment Anything (arXiv 2304.02643), imported from the package `segment_anything` without its tools.

Importing the package itself imports torchvision and so TorchDynamo, which only its predictor needs and which take seconds. Here
its subpackage `modeling` is imported alone.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any


def _modeling() -> Any:
    """`segment_anything.modeling`; a later `import segment_anything` runs as ever and finds the same classes."""
    name = "segment_anything"
    spec = None if name in sys.modules else find_spec(name)
    if spec is None:
        return import_module(f"{name}.modeling")
    # Only its place counts; its code is not run.
    sys.modules[name] = module_from_spec(spec)
    try:
        return import_module(f"{name}.modeling")
    finally:
        del sys.modules[name]


_found = _modeling()

ImageEncoderViT = _found.image_encoder.ImageEncoderViT
Block = _found.image_encoder.Block
get_rel_pos = _found.image_encoder.get_rel_pos
window_partition = _found.image_encoder.window_partition
window_unpartition = _found.image_encoder.window_unpartition
PromptEncoder = _found.prompt_encoder.PromptEncoder
PositionEmbeddingRandom = _found.prompt_encoder.PositionEmbeddingRandom
MaskDecoder = _found.mask_decoder.MaskDecoder
MLP = _found.mask_decoder.MLP
TwoWayTransformer = _found.transformer.TwoWayTransformer
LayerNorm2d = _found.common.LayerNorm2d
