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
    version: str = option('Subfolder; "" is none.', empty=True)


@dataclass(frozen=True, kw_only=True)
class Wandb:
    """Lightning's WandbLogger, which also knows the best checkpoint."""

    _target_: Literal["segassess.experiments.dashboard.wandb_logger.BestCheckpointLogger"] = option("The class.")
    save_dir: str = option("Folder of the runs.", path=True)
    project: str = option("Project on W&B that the run belongs to.")
    offline: bool = option("Write to disk only; `wandb sync` uploads it later.")
    log_model: bool | Literal["all"] = option(
        'Upload checkpoints as artifacts: the best one and assessor.safetensors when training ends; "all" each best '
        "one as soon as it is found. Not offline."
    )
    name: str | None = option("Name of the run; null is the end of its folder's path.")
    group: str | None = option("Group of runs on W&B; null is the folder of the sweep, or no group outside a sweep.")
    id: str | None = option("Identity of the run; with that of an earlier run (and resume=) its curves continue. New by default.")
    tags: tuple[str, ...] = option("Tags of the run.")


LoggerOptions: TypeAlias = CSVLogger | Wandb | Target
