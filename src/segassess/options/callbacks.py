"""Lightning's callbacks and loggers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segassess.options.checking import Target
from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class ModelCheckpoint:
    """Checkpoints: the best weights, or the last state."""

    _target_: Literal["lightning.pytorch.callbacks.ModelCheckpoint"] = option("The class.")
    dirpath: str = option("Where checkpoints are written.", path=True)
    filename: str = option("Name of the file, without suffix; resume= looks for `last`.")
    monitor: str = option("Metric that selects the best.")
    mode: Literal["max", "min"] = option("Whether a higher or a lower value is better.")
    save_top_k: int = option("How many of the best are kept.", low=-1)
    auto_insert_metric_name: Literal[False] = option("Always false, because the slash in names of metrics would make folders.")
    enable_version_counter: bool = option("Number files instead of overwriting them.")


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """The end of a training that no longer gets better (Lightning's EarlyStopping)."""

    _target_: Literal["lightning.pytorch.callbacks.EarlyStopping"] = option("The class.")
    monitor: str = option("Metric that must improve.")
    mode: Literal["max", "min"] = option("Whether a higher or a lower value is better.")
    patience: int = option("Validations without improvement.", low=0)


@dataclass(frozen=True, kw_only=True)
class EpochSeed:
    """Random choices by seed and epoch, so that a resumed training is the same as one that was not stopped."""

    _target_: Literal["segassess.training.callbacks.EpochSeed"] = option("The class.")
    seed: int = option("Seed of all random choices.", low=0, high=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Throughput and learning rate of each epoch."""

    _target_: Literal["segassess.training.callbacks.Pace"] = option("The class.")


@dataclass(frozen=True, kw_only=True)
class History:
    """tables/history.csv and figures/history.png in the folder of the run."""

    _target_: Literal["segassess.experiments.dashboard.history.History"] = option("The class.")
    folder: str = option("Where tables/ and figures/ go.", path=True)


@dataclass(frozen=True, kw_only=True)
class ValidationTiles:
    """The same validation tiles at every validation: figures/tiles.png and tiles_best.png, and on W&B."""

    _target_: Literal["segassess.experiments.dashboard.validation_tiles.ValidationTiles"] = option("The class.")
    folder: str = option("Where figures/ goes.", path=True)
    monitor: str = option("Metric that selects the best validation.")
    count: int = option("Number of tiles, spread evenly over the validation split, with masks of different sources.", low=1)


@dataclass(frozen=True, kw_only=True)
class RichProgressBar:
    """Lightning's RichProgressBar."""

    _target_: Literal["lightning.pytorch.callbacks.RichProgressBar"] = option("The class.")
    refresh_rate: int = option("Batches between two updates of the bar.", low=0)


@dataclass(frozen=True, kw_only=True)
class EMAWeightAveraging:
    """Lightning's EMAWeightAveraging."""

    _target_: Literal["lightning.pytorch.callbacks.EMAWeightAveraging"] = option("The class.")
    decay: float = option("Share of the average that is kept at each step.", above=0, below=1)


CallbackOptions: TypeAlias = (
    ModelCheckpoint | EarlyStopping | EpochSeed | Pace | History | ValidationTiles | RichProgressBar | EMAWeightAveraging | Target
)


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
