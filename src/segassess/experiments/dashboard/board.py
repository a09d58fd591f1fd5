"""Pictures and tables of a run, in its folder and on Weights & Biases."""

import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from segassess.evaluation.result_tables import write_csv
from segassess.experiments.dashboard.tile_sheet import JudgedTile, write_tile_sheet
from segassess.experiments.dashboard.wandb_logger import BestCheckpointLogger
from segassess.files import atomic_path
from segassess.outputs.tables import without_nan
from segassess.quality import CLASS_LABELS, CLASS_NAMES, NOT_ASSESSED

FIGURES, TABLES = "figures", "tables"

# Classes of the overlays in a picture on W&B, by code.
_QUALITY_LABELS = {code: f"{name} {label}" for code, (name, label) in enumerate(zip(CLASS_NAMES, CLASS_LABELS, strict=True))}
_QUALITY_LABELS[NOT_ASSESSED] = "not assessed"
_MASK_LABELS = {0: "outside", 1: "mask"}


class Board:
    """The one place that writes figures and tables of a run; use it on rank 0 only.

    A figure NAME is `figures/NAME.png` in the run's folder and `figures/NAME` on W&B; a table is `tables/NAME.csv` and
    `tables/NAME`. W&B is imported and served only if `loggers` contains it.
    """

    def __init__(self, folder: Path, loggers: Iterable[Logger] = ()) -> None:
        self.folder = folder
        self._online = [logger for logger in loggers if isinstance(logger, WandbLogger)]

    def figure(self, name: str, draw: Callable[[Path], None]) -> None:
        """Show a picture; `draw` writes the PNG to a path."""
        path = self.folder / FIGURES / f"{name}.png"
        draw(path)
        for logger in self._online:
            logger.log_image(f"{FIGURES}/{name}", [str(path)])

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show rows under the union of their columns; NaN becomes an empty cell."""
        write_csv(self.folder / TABLES / f"{name}.csv", rows)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        cells = [[without_nan(row.get(column)) for column in columns] for row in rows]
        for logger in self._online:
            logger.log_table(f"{TABLES}/{name}", columns, cells)

    def tiles(self, tiles: Sequence[JudgedTile], title: str, step: int, *, best: bool) -> None:
        """Show tiles as `tiles.png`, kept as `tiles_best.png` for the best validation so far, and as overlays on W&B."""
        path = self.folder / FIGURES / "tiles.png"
        write_tile_sheet(path, tiles, title)
        if best:
            with atomic_path(path.with_stem("tiles_best")) as temporary:
                shutil.copyfile(path, temporary)
        for logger in self._online:
            logger.log_image(
                f"{FIGURES}/tiles",
                [tile.image for tile in tiles],
                step,
                caption=[tile.caption for tile in tiles],
                masks=[_overlays(tile) for tile in tiles],
            )

    def numbers(self, numbers: Mapping[str, float]) -> None:
        """Log numbers on W&B without NaN; files of an evaluation have them already."""
        known = {name: value for name, value in numbers.items() if not math.isnan(value)}
        for logger in self._online:
            logger.log_metrics(known)

    def checkpoint(self, path: Path) -> None:
        """Keep a file of weights as an artifact on W&B, if `log_model` says so."""
        for logger in self._online:
            if isinstance(logger, BestCheckpointLogger) and logger.uploads:
                import wandb

                artifact = wandb.Artifact(f"{path.stem}-{logger.experiment.id}", type="model")
                artifact.add_file(str(path))
                logger.experiment.log_artifact(artifact)


def _overlays(tile: JudgedTile) -> dict[str, dict[str, Any]]:
    return {
        "mask": {"mask_data": tile.mask.astype("uint8"), "class_labels": _MASK_LABELS},
        "predicted": {"mask_data": tile.predicted, "class_labels": _QUALITY_LABELS},
        "true": {"mask_data": tile.true, "class_labels": _QUALITY_LABELS},
    }
