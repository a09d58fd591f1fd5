"""Panels of the masks that an assessor judged worst, and of typical ones."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from segassess import quality
from segassess.data.datamodule import AssessmentData
from segassess.data.sampling import TileKey, collate_tiles
from segassess.evaluation.methods import Candidate
from segassess.files import atomic_path
from segassess.metrics.evaluation_metrics import MaskRow
from segassess.outputs.panel import render_panel
from segassess.quality import NOT_ASSESSED
from segassess.training.module import assess_batch


def extremes(rows: Sequence[MaskRow], count: int) -> tuple[list[MaskRow], list[MaskRow]]:
    """The masks with the lowest F1 of error pixels, and those closest to its median; masks without an F1 do not count."""
    known = sorted((row for row in rows if not math.isnan(row.error_f1)), key=lambda row: (row.error_f1, row.name))
    if not known:
        return [], []
    middle = median(row.error_f1 for row in known)
    return known[:count], sorted(known, key=lambda row: (abs(row.error_f1 - middle), row.name))[:count]


def write_extreme_panels(folder: Path, candidate: Candidate, data: AssessmentData, rows: Sequence[MaskRow], count: int) -> None:
    """Write `count` panels each, `worst_<rank>_<tile>_<source>.png` and `typical_...png`.

    The candidate must be on the CPU; `rows` are its evaluation.
    """
    tiles = {tile.name: tile for tile in data.test_tiles()}
    folder.mkdir(parents=True, exist_ok=True)
    for kind, chosen in zip(("worst", "typical"), extremes(rows, count), strict=True):
        for rank, row in enumerate(chosen, start=1):
            batch = collate_tiles([data.evaluation_dataset([tiles[row.name]], [row.source])[TileKey(0)]])
            assert batch.truth is not None  # it has been evaluated
            with torch.inference_mode():
                logits = assess_batch(candidate.assessor, batch).quality_logits.float()
                probabilities = quality.probabilities(logits, batch.mask, candidate.decoding)
                error = quality.error_map(candidate.calibration(probabilities))[0]
            outside = ~batch.valid[0, 0]
            panel = render_panel(
                batch.image[0].permute(1, 2, 0).numpy(),
                batch.mask[0, 0].numpy(),
                quality.decode(candidate.calibration.for_decisions(probabilities))[0].masked_fill(outside, NOT_ASSESSED).numpy(),
                error.masked_fill(outside, math.nan).numpy(),
                f"{row.name}, mask of {row.source}",
                [f"error F1 {row.error_f1:.2f}, IoU of the mask {row.true_iou:.2f} (estimated {row.estimated_iou:.2f})"],
                estimated_iou=row.estimated_iou,
                truth_quality=quality.encode(batch.mask, batch.truth)[0, 0].masked_fill(outside, NOT_ASSESSED).numpy(),
            )
            with atomic_path(folder / f"{kind}_{rank:02d}_{row.name}_{row.source}.png") as temporary:
                panel.save(temporary)
