"""Loggers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segassess.options.checking import Target
from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class CSVLogger:
    """Lightning's CSVLogger."""

    _target_: Literal["lightning.pytorch.loggers.CSVLogger"] = option("The class.")
    save_dir: str = option("The folder of `name`.", path=True)
    name: str = option("Folder of metrics.csv.")
    version: str = option('A further folder in it; "" is none.', empty=True)


@dataclass(frozen=True, kw_only=True)
class Wandb:
    """Lightning's WandbLogger, which also knows the best checkpoint."""

    _target_: Literal["segassess.experiments.dashboard.wandb_logger.BestCheckpointLogger"] = option("The class.")
    save_dir: str = option("Where runs are written.", path=True)
    project: str = option("Project on W&B that the run belongs to.")
    offline: bool = option("Write to disk only; `wandb sync` sends it later.")
    log_model: bool | Literal["all"] = option(
        'Upload checkpoints as artifacts: the best one and assessor.safetensors when training ends; "all" each best '
        "one when it is found. Not offline."
    )
    name: str | None = option("Name of the run; null takes the end of its folder.")
    group: str | None = option("Runs that W&B shows together; null is the folder of the sweep, or none outside of a sweep.")
    id: str | None = option(
        "Identity of the run; that of an earlier run continues its curves (with resume=). A new one by default."
    )
    tags: tuple[str, ...] = option("Words to search runs by.")


LoggerOptions: TypeAlias = CSVLogger | Wandb | Target
