import functools

import lightning as L
import pytest
import torch
from torch.nn import functional as F

from segassess.data.datamodule import SamplingSettings, SegmentationData
from segassess.data.tiles import FolderTiles
from segassess.errors import ConfigError
from segassess.training.losses import dice_loss
from segassess.training.module import Schedule
from segassess.training.segmenter_module import SegmentationLoss, SegmenterModule
from tests.models.segmenters.stubs import Brighter


def planes(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 1, 12, 12, generator=generator)
    truth = (torch.rand(2, 1, 12, 12, generator=generator) > 0.5).float()
    return logits, truth, torch.ones(2, 1, 12, 12, dtype=torch.bool)


def test_cross_entropy_and_dice_are_weighted():
    logits, truth, valid = planes()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, truth)
    dice = dice_loss(logits.sigmoid(), truth, valid.float())
    assert torch.allclose(SegmentationLoss()(logits, truth, valid), cross_entropy)
    assert torch.allclose(SegmentationLoss(0.5, 2.0)(logits, truth, valid), 0.5 * cross_entropy + 2 * dice)


def test_what_is_not_valid_does_not_count():
    logits, truth, valid = planes()
    valid[..., 6:] = False
    changed = torch.where(valid, logits, 50.0)
    loss = SegmentationLoss(1.0, 1.0)
    assert torch.allclose(loss(logits, truth, valid), loss(changed, truth, valid))
    assert float(SegmentationLoss()(logits, truth, torch.zeros_like(valid))) == 0


def test_a_loss_without_terms_is_refused():
    with pytest.raises(ConfigError, match="at least one > 0"):
        SegmentationLoss(0.0, 0.0)


def test_the_plateau_counts_validations(tiny_folder, tmp_path):
    tileset = FolderTiles(tiny_folder)
    sampling = SamplingSettings(images_per_batch=8, crop=48)
    data = SegmentationData(tileset.tiles("train"), tileset.tiles("valid"), sampling=sampling)
    # The weight scales all logits alike and changes no mask, so that no validation after the first improves.
    optimizer = functools.partial(torch.optim.SGD, lr=1e-4)
    module = SegmenterModule(Brighter(0.5), SegmentationLoss(), 0.5, optimizer, Schedule("halve_on_plateau"), {})
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=6,
        check_val_every_n_epoch=2,
        default_root_dir=tmp_path,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **quiet,
    )
    trainer.fit(module, data)
    assert module.optimizers().param_groups[0]["lr"] == pytest.approx(0.5e-4)
