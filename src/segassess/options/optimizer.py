"""The optimizer and its learning rate."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from segassess.options.checking import Settings
from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class FactoryOptions:
    """The optimizer: a class of torch.optim with its options."""

    _target_: str = option("The class of the optimizer.")
    _partial_: bool = option("Must be true, because its parameters come later.")
    lr: float = option("Peak learning rate.", above=0)
    weight_decay: float = option("Weight decay.", low=0)


@dataclass(frozen=True)
class ScheduleSettings(Settings):
    """Schedule of the learning rate."""

    KEY: ClassVar = "optimizer.schedule"

    name: Literal["constant", "cosine", "halve_on_plateau"] = option(
        "Form of the schedule; halve_on_plateau, the reference's, halves after 2 and 4 validations without improvement.",
        "constant",
    )
    warmup: float = option("Share of the training over which the rate of a cosine schedule rises.", 0.0, low=0, below=1)
    by: Literal["steps", "time"] = option("Unit of a cosine schedule's progress; time needs trainer.max_time.", "steps")


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """The config group `optimizer`."""

    factory: FactoryOptions = option("The optimizer: a class of torch.optim with its options.")
    schedule: ScheduleSettings = option("Schedule of the learning rate.")
