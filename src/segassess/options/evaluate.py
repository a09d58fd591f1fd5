"""`evaluate.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import AssessorOptions
from segassess.options.dataset import DatasetOptions
from segassess.options.encoder import EncoderOptions
from segassess.options.option import REQUIRED, group, option
from segassess.options.paths import PathOptions
from segassess.options.predict import Predict
from segassess.options.sam import SamOptions
from segassess.options.trainer import TrainerOptions


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """A part of a benchmark."""

    split: str | tuple[str, ...] = option("Its splits.")
    source: str | tuple[str, ...] = option("Its sources.")
    unseen: bool = option("Whether no method may have learned from these sources.")


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What a benchmark compares."""

    folder: str = option("Trainings are kept here and taken from here.", path=True)
    seeds: tuple[int, ...] = option("Of the trainings; the plots and panels show the first.")
    sources: tuple[str, ...] = option("Sources that all methods learn from, baselines included.")
    training: tuple[str, ...] = option("Overrides of train.py for all methods.", longest=4096)
    trained: Mapping[str, tuple[str, ...] | None] = option(
        "Methods that are trained, each with its overrides of train.py; null leaves one out.", longest=4096
    )
    stored: Mapping[str, str | None] = option("Assessors that are judged as they are; null leaves one out.", path=True)
    jobs: int = option("Trainings side by side; they share the cores, so all get the same.", low=1)
    main: str = option("The method whose panels are drawn.")
    panels: int = option("Panels of the worst, and as many of the most typical masks of the first part.", low=0)
    parts: Mapping[str, PartOptions | None] = option("What is reported; null leaves a part out.")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare an assessor and baselines with the ground truth."""

    task: Literal["assessor", "damage", "scaling"] = option(
        "Compare with the truth of a data set, or with a known damage to a layer, or measure what large scenes cost; "
        "chooses this file, conf/evaluate_damage.yaml or conf/evaluate_scaling.yaml.",
        "assessor",
    )
    program: str = option("How the command line begins, for --help.", "evaluate.py")
    task_name: str = option("First part of the folder of this run under paths.output_root.", "evaluate")
    seed: int = option("Of made masks (perturbations, the classical segmenter).", 20, low=0, high=2**32 - 1)
    source: str | tuple[str, ...] | None = option("Sources to evaluate; null is all that the data set has.", None)
    split: str | tuple[str, ...] = option("Split of the data set, or several that are evaluated together.", "test")
    checkpoint: str = option(
        "The assessor; .safetensors, .ckpt or .onnx of ours, or a checkpoint of the reference's authors with "
        "assessor= and encoder=.",
        "${paths.checkpoint}",
        path=True,
    )
    decoding: Literal["consistent", "free"] | None = option("Null is what the checkpoint was trained with.", None)
    baselines: str | tuple[str, ...] = option(
        "Baselines in the table: always_right, boundary_prior, disagreement_best, disagreement_ensemble, "
        "disagreement_fitted, confidence, entropy, sam_agreement, or your own as module.Class. They learn from the "
        "train split, without the held-out sources.",
        ("always_right", "boundary_prior"),
    )
    networks: str = option(
        "A folder per segmenter with its networks (task=crossfit), for the baselines disagreement_* and confidence and entropy.",
        "${paths.segmenters}/${dataset.name}",
        path=True,
    )
    sam: SamOptions = group(SamOptions, "Segment Anything, for the baseline sam_agreement.")
    held_out: str | tuple[str, ...] = option("Sources that baselines do not learn from.", "${dataset.held_out}")
    benchmark: BenchmarkOptions | None = option("What a benchmark compares; see conf/experiment/benchmark.yaml.", None)
    protocol: Literal["ours", "reference"] = option(
        'Pooled metrics; "reference" adds the published implementation\'s per-batch averages (a batch is a tile).', "ours"
    )
    num_workers: int = option("Processes that read tiles; 0 reads in the main process.", 0, low=0)
    on_missing: Literal["error", "list"] = option(
        "In a sweep, what becomes of a run whose data or checkpoint are not there: it fails, or is listed in missing.json.",
        "error",
    )
    traceback: bool = option("Print tracebacks of user errors as well.", False)
    dataset: DatasetOptions = option("The data set, a group.")
    encoder: EncoderOptions | None = option(
        "Image encoder, a group; only for checkpoints that do not say what they are (the reference's)."
    )
    assessor: AssessorOptions | None = option(
        "Composition, a group; only for checkpoints that do not say what they are (the reference's)."
    )
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    paths: PathOptions = option("Where things lie, a group.")


@dataclass(frozen=True, kw_only=True)
class DamageOptions:
    """The damage that is done."""

    removed: int = option("Polygons that are removed, so that they are missing.", 200, low=0)
    shifted: int = option("Polygons that are shifted.", 200, low=0)
    invented: int = option("Copies of polygons that are turned and put where nothing is, so that they are invented.", 100, low=0)
    shift_px: tuple[float, float] = option(
        "The least and the most pixels by which polygons are shifted, in any direction.", (8, 24), low=0, ascending=True
    )
    emptied_px: float = option(
        "Side in pixels of a square in the middle of the image that is emptied, as if it had never been mapped; 0 leaves it out.",
        0,
        low=0,
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateDamage(Predict):
    """Find a known damage to a layer."""

    task: Literal["assessor", "damage", "scaling"] = option(  # type: ignore[assignment]
        "Chooses this file, conf/evaluate.yaml or conf/evaluate_scaling.yaml.", "damage"
    )
    program: str = option("How the command line begins, for --help.", "evaluate.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "evaluate")
    mask: str = option(
        "A layer of polygons (or, as for predict.py, one of its forms) that is taken for right.", REQUIRED, path=True
    )
    seed: int = option("Of the choice of polygons and of where they go.", 0, low=0, high=2**32 - 1)
    damage: DamageOptions = group(
        DamageOptions,
        "The damage that is done. A layer of fewer than twice as many polygons as are removed and shifted is damaged "
        "less, in the same proportions, and no more are invented than there is room for; the log says the numbers.",
    )


@dataclass(frozen=True, kw_only=True)
class ScalingOptions:
    """What is measured."""

    sizes: tuple[tuple[int, int], ...] = option(
        "[rows, columns] in pixels of mosaics that repeat the scene; they are virtual files and take no room.",
        ((5000, 5000), (10000, 10000)),
        low=1,
    )
    windows: tuple[tuple[int, int], ...] = option(
        "[window, overlap] in pixels with which the scene is judged; the first is what the others are compared with.",
        ((640, 128), (768, 128), (640, 192), (1024, 256)),
        low=0,
        multiple=32,
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateScaling(Predict):
    """Measure what size and windows cost."""

    task: Literal["assessor", "damage", "scaling"] = option(  # type: ignore[assignment]
        "Chooses this file, conf/evaluate.yaml or conf/evaluate_damage.yaml.", "scaling"
    )
    program: str = option("How the command line begins, for --help.", "evaluate.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "evaluate")
    mask: str = option("A raster on the grid of the image.", REQUIRED, path=True)
    scaling: ScalingOptions = group(ScalingOptions, "What is measured.")
