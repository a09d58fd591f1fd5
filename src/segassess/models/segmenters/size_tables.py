"""Tables of the segmenters' sizes and of the validation scores of trained ones."""

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.table import Table

from segassess.errors import RequestError
from segassess.models.segmenters.architectures import SEGMENTERS, build_segmenter
from segassess.models.segmenters.fitted import FULL
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, read_description

# Validation scores in a segmenter's file, in [0, 1].
SCORES = ("iou", "boundary_iou", "f1", "precision", "recall")

# Counted in the published implementation (Yangbn97/SegAssess at 4ccb024, TransUNet at 320 px).
REFERENCE = {
    "deeplabv3plus": 59_339_169,
    "hrnet": 78_288_001,
    "ocrnet": 70_350_466,
    "transunet": 105_432_593,
    "unetformer": 11_724_254,
}


def parameters(name: str, size: str) -> int:
    """Number of parameters of a segmenter, counted without allocating them."""
    with torch.device("meta"):
        segmenter = build_segmenter({"name": name, "size": size, "pretrained": False})
    return sum(parameter.numel() for parameter in segmenter.parameters())


def parameters_table() -> Table:
    """One row per segmenter: parameters at size full, of the reference, at size small; "-" for none."""
    result = Table(title="Parameters of the segmenters")
    for heading in ("segmenter", "full", "reference", "small"):
        result.add_column(heading, justify="left" if heading == "segmenter" else "right")
    for name, segmenter in SEGMENTERS.items():
        counts = {size: parameters(name, size) for size in segmenter.SIZES}
        cells = counts.get("full"), REFERENCE.get(name), counts.get("small")
        result.add_row(name, *("-" if count is None else f"{count:,}" for count in cells))
    return result


def fitted_networks(folder: Path) -> list[tuple[str, SegmenterDescription]]:
    """Networks by file stem in a folder of one segmenter, or of several segmenters' folders; raises RequestError if none."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*/*.safetensors"))
    if not files:
        raise RequestError(f"{folder} holds no networks; train some with train.py task=segmenter or task=crossfit.")
    # The network of all images comes before those of the folds.
    files.sort(key=lambda file: (file.parent.name, file.name != FULL, file.name))
    return [(file.stem, read_description(file)) for file in files]


def networks_table(networks: Iterable[tuple[str, SegmenterDescription]]) -> Table:
    """One row per trained network: architecture, number of training tiles, validation scores."""
    result = Table(title="Networks on the validation tiles")
    for heading in ("segmenter", "size", "network", "training tiles", *SCORES):
        result.add_column(heading, justify="left" if heading in ("segmenter", "size", "network") else "right")
    before = ""
    for network, description in networks:
        scores = [float(description.training.get("valid", {}).get(name, math.nan)) for name in SCORES]
        cells = ["-" if math.isnan(score) else f"{score:.3f}" for score in scores]
        name = description.name if description.name != before else ""
        result.add_row(name, str(description.segmenter.get("size", "")), network, str(len(description.trained_on)), *cells)
        before = description.name
    return result
