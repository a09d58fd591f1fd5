"""A few fixed tiles, shown after every validation."""

import math
from pathlib import Path

import lightning as L
import torch
from torch import Tensor

from segassess import quality
from segassess.data.batch import Batch
from segassess.experiments.dashboard.board import Board
from segassess.experiments.dashboard.tile_sheet import JudgedTile
from segassess.quality import NOT_ASSESSED


class ValidationTiles(L.Callback):
    """Shows `count` judged validation tiles (`Board.tiles`), spread evenly, each with another source's mask.

    It needs a `validation_step` that returns quality probabilities (B, 4, H, W); otherwise, as for segmenters, it shows nothing.
    Several processes show the tiles of the first one. `monitor` is the metric that tells the best validation, higher is better.
    """

    def __init__(self, folder: str | Path, monitor: str, count: int = 4) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.count = count
        self._tiles: list[JudgedTile] = []
        self._best = -math.inf

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep one mask of a chosen tile."""
        batches = int(sum(trainer.num_val_batches))
        count = min(self.count, batches)
        chosen = [number * batches // count for number in range(count)]
        if trainer.is_global_zero and isinstance(outputs, Tensor) and batch_idx in chosen:
            self._tiles.append(_judged(outputs, batch, chosen.index(batch_idx) % len(batch)))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the kept tiles."""
        tiles, self._tiles = self._tiles, []
        if not tiles or trainer.sanity_checking:
            return
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if best := score > self._best:
            self._best = score
        title = f"epoch {trainer.current_epoch + 1}, step {trainer.global_step}, {self.monitor} {score:.3f}"
        Board(self.folder, trainer.loggers).tiles(tiles, title, trainer.global_step, best=best)

    def state_dict(self) -> dict[str, float]:
        """The best score so far, for a resumed run."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continue from `state_dict`."""
        self._best = state_dict["best"]


def _judged(probabilities: Tensor, batch: Batch, index: int) -> JudgedTile:
    if batch.truth is None:
        raise ValueError("A validation batch needs ground truth.")
    outside = ~batch.valid[index, 0]
    predicted = quality.decode(probabilities[index : index + 1])[0].masked_fill(outside, NOT_ASSESSED)
    true = quality.encode(batch.mask[index, 0], batch.truth[index, 0]).masked_fill(outside, NOT_ASSESSED)
    return JudgedTile(
        name=batch.name[index],
        source=batch.source[index],
        image=(batch.image[index].permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy(),
        mask=(batch.mask[index, 0] > 0).cpu().numpy(),
        predicted=predicted.to(torch.uint8).cpu().numpy(),
        true=true.to(torch.uint8).cpu().numpy(),
    )
