"""The optimizer, its learning rate, and the losses."""

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


@dataclass(frozen=True, kw_only=True)
class AssessorLossWeights:
    """Weights of the terms of the loss."""

    cross_entropy: float = option("Class-weighted cross-entropy; 0 switches a term off", low=0)
    edge: float = option("Balanced cross-entropy and Dice of the edge branch", low=0)
    refinement: float = option("Squared errors of truth, complement and refined mask", low=0)
    dice: float = option("Dice of P(TP) + P(FN) against the truth (not in the paper)", low=0)
    error_dice: float = option("Dice of P(FP) and of P(FN) against the errors of the batch (not in the paper)", low=0)
    object: float = option("Cross-entropy and Dice of the object branch, if any (not in the paper)", low=0)
    iou: float = option("Error of the IoU that the probabilities estimate (not in the paper)", low=0)


@dataclass(frozen=True, kw_only=True)
class AssessorLoss:
    """The loss of an assessor."""

    weights: AssessorLossWeights = option("Weights of the terms of the loss.")
    class_weights: Literal["reference", "inverse_frequency"] | tuple[float, float, float, float] = option(
        "Weights of the classes TP, FP, TN, FN; the reference's are 0.5, 5, 0.1, 5.", low=0
    )
    dice_over: Literal["sample", "batch"] = option(
        "Range of the Dice of truth, objects and edges; per sample, the many crops without any of them dominate."
    )


@dataclass(frozen=True, kw_only=True)
class SegmentationLossWeights:
    """Weights of the terms of the loss."""

    cross_entropy: float = option("Binary cross-entropy; 0 switches a term off", low=0)
    dice: float = option("Dice per sample; the reference has none", low=0)


@dataclass(frozen=True, kw_only=True)
class SegmentationLoss:
    """The loss of a segmenter."""

    weights: SegmentationLossWeights = option("Weights of the terms of the loss.")
