"""`train.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import AssessorOptions, EncoderOptions
from segassess.options.callbacks import CallbackOptions, LoggerOptions
from segassess.options.dataset import DatasetOptions
from segassess.options.optimizer import AssessorLoss, OptimizerOptions, SegmentationLoss
from segassess.options.option import group, option
from segassess.options.paths import PathOptions
from segassess.options.sam import SamOptions
from segassess.options.sampling import SamplingOptions
from segassess.options.segmenter import SegmenterOptions
from segassess.options.trainer import TrainerOptions


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How probabilities are calibrated after training, on the tiles that selected the checkpoint (docs/method.md)."""

    kind: Literal["affine", "temperature", "none"] = option(
        "Scale and shift the log-odds of FP and of FN, scale them only, or change nothing.", "affine"
    )
    cuts: bool = option(
        "Call a pixel an error above the log-odds with the best IoU of FP, and of FN, on those tiles; false takes "
        "the likelier class.",
        True,
    )
    sources: str | tuple[str, ...] | None = option("Sources whose masks calibrate; null is the training sources.", None)


@dataclass(frozen=True, kw_only=True)
class TrainingGroups:
    """The groups of every training."""

    dataset: DatasetOptions = option("The data set, a group.")
    sampling: SamplingOptions = option("How views are drawn, a group.")
    optimizer: OptimizerOptions = option("The optimizer, a group.")
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    callbacks: Mapping[str, CallbackOptions | None] | None = option("Lightning's callbacks by a name, a group; null drops one.")
    logger: Mapping[str, LoggerOptions | None] | None = option("Loggers by a name, a group; null drops one.")
    paths: PathOptions = option("Folders and files, a group.")


@dataclass(frozen=True, kw_only=True)
class Train(TrainingGroups):
    """Train an assessor."""

    task: Literal["assessor", "segmenter", "crossfit"] = option(
        "What to train; chooses this file, conf/train_segmenter.yaml or conf/train_crossfit.yaml.", "assessor"
    )
    program: str = option("Beginning of the command line, for --help.", "train.py")
    task_name: str = option("First part of the folder of this run under paths.output_root.", "train")
    seed: int = option(
        "Seed of all random choices; the same seed on the same machine gives the same run.", 20, low=0, high=2**32 - 1
    )
    held_out: str | tuple[str, ...] = option(
        "Unseen sources; they never enter training or selection, only evaluation.", "${dataset.held_out}"
    )
    decoding: Literal["consistent", "free"] = option(
        "Whether loss and evaluation rule out impossible classes (TP outside the mask, ...).", "consistent"
    )
    checkpoint: str | tuple[str, ...] | None = option(
        "Weights of a whole assessor to start from (a fine-tuning), the mean of several if these are listed; refused if they "
        "learned from a held-out source.",
        None,
        path=True,
    )
    resume: str | None = option("Continue a run: its folder, or a last.ckpt in it.", None, path=True)
    weights_dtype: Literal["float32", "float16"] = option(
        "How assessor.safetensors stores weights; float16 halves the file.", "float32"
    )
    calibration: CalibrationOptions = group(
        CalibrationOptions,
        "How probabilities are calibrated after training, on the tiles that selected the checkpoint (docs/method.md).",
    )
    evaluate: bool = option("Evaluate at the end on the split `split`, beside the baselines.", True)
    split: str | tuple[str, ...] = option("Splits that are evaluated at the end.", "test")
    baselines: str | tuple[str, ...] = option(
        "Baselines in that table: always_right, boundary_prior, disagreement_best, disagreement_ensemble, "
        "disagreement_fitted, confidence, entropy, sam_agreement, or your own as module.Class.",
        ("always_right", "boundary_prior"),
    )
    networks: str = option(
        "A folder per segmenter with its networks (task=crossfit), for the baselines disagreement_* and confidence and entropy.",
        "${paths.segmenters}/${dataset.name}",
        path=True,
    )
    sam: SamOptions = group(SamOptions, "Segment Anything, for the baseline sam_agreement.")
    protocol: Literal["ours", "reference"] = option(
        'Pooled metrics; "reference" adds the published implementation\'s per-batch averages.', "ours"
    )
    on_missing: Literal["error", "list"] = option(
        "In a sweep, a run whose data or checkpoint is missing fails, or is listed in missing.json.",
        "error",
    )
    monitor: str = option(
        "Metric on the validation tiles of the TRAINING sources that selects the checkpoint and stops early.", "valid/fp_fn_miou"
    )
    traceback: bool = option("Also print tracebacks of user errors.", False)
    encoder: EncoderOptions = option("Image encoder, a group.")
    assessor: AssessorOptions = option("Composition, a group.")
    loss: AssessorLoss = option("The loss, a group.")


@dataclass(frozen=True, kw_only=True)
class TrainSegmenter(TrainingGroups):
    """Train a segmenter."""

    task: Literal["assessor", "segmenter", "crossfit"] = option(
        "What to train; chooses this file, conf/train.yaml or conf/train_crossfit.yaml.", "segmenter"
    )
    program: str = option("Beginning of the command line, for --help.", "train.py task=segmenter")
    task_name: str = option("First part of the folder of this run under paths.output_root.", "segmenter")
    seed: int = option(
        "Seed of all random choices; the same seed on the same machine gives the same run.", 20, low=0, high=2**32 - 1
    )
    threshold: float = option(
        "Probability above which a pixel belongs to the mask.", "${dataset.recipe.threshold}", above=0, below=1
    )
    networks: str = option(
        "Folder of the segmenter's networks; the one that learned from all training tiles is full.safetensors.",
        "${paths.segmenters}/${dataset.name}/${segmenter.name}",
        path=True,
    )
    resume: str | None = option("Continue a run: its folder, or a last.ckpt in it.", None, path=True)
    monitor: str = option(
        "Metric on the validation tiles that selects the checkpoint and stops early: IoU of the object.", "valid/iou"
    )
    traceback: bool = option("Also print tracebacks of user errors.", False)
    segmenter: SegmenterOptions = option("The segmenter, a group.")
    loss: SegmentationLoss = option("The loss, a group.")


@dataclass(frozen=True, kw_only=True)
class TrainCrossfit(TrainSegmenter):
    """Cross-fit a segmenter."""

    task: Literal["assessor", "segmenter", "crossfit"] = option("What to train.", "crossfit")
    program: str = option("Beginning of the command line, for --help.", "train.py task=crossfit")
    task_name: str = option("First part of the folder of this run under paths.output_root.", "crossfit")
    folds: int = option("Folds; whole groups of tiles, spread evenly over the regions.", 2, low=2)
    splits: str | tuple[str, ...] = option(
        "Splits whose masks are drawn; training tiles by the network that left them out.", ("train", "valid", "test")
    )
    probabilities: bool = option("Also write the probabilities beside the masks.", False)
    overwrite: bool = option("Replace networks and masks of an earlier run.", False)
