"""`evaluate.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import BACKEND_HELP, Backend, StoredAssessor
from segassess.options.dataset import DatasetOptions
from segassess.options.fit import EvaluatedFitOptions
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

    folder: str = option("Folder that keeps the trainings.", path=True)
    seeds: tuple[int, ...] = option("Seeds of the trainings; plots and panels show the first.")
    sources: tuple[str, ...] = option("Sources that all methods learn from, baselines included.")
    training: tuple[str, ...] = option("Overrides of train.py for all methods.", longest=4096)
    trained: Mapping[str, tuple[str, ...] | None] = option(
        "Methods to train, each with its overrides of train.py; null leaves one out.", longest=4096
    )
    stored: Mapping[str, str | None] = option("Stored assessors; null leaves one out.", path=True)
    jobs: int = option("Trainings side by side, which share the cores equally.", low=1)
    main: str = option("The method whose panels are drawn.")
    panels: int = option("Panels of the worst masks of the first part, and as many of the most typical.", low=0)
    parts: Mapping[str, PartOptions | None] = option("Parts of the report; null leaves one out.")


@dataclass(frozen=True, kw_only=True)
class Evaluate(StoredAssessor):
    """Compare an assessor and baselines with the ground truth."""

    task: Literal["assessor", "damage", "scaling"] = option(
        "Compare with the ground truth of a data set, find a known damage to a layer, or measure the cost of large scenes; "
        "chooses this file, conf/evaluate_damage.yaml or conf/evaluate_scaling.yaml.",
        "assessor",
    )
    program: str = option("Beginning of the command line, for --help.", "evaluate.py")
    task_name: str = option("First part of the folder of this run under paths.output_root.", "evaluate")
    seed: int = option("Seed of made masks (perturbations, the classical segmenter).", 20, low=0, high=2**32 - 1)
    source: str | tuple[str, ...] | None = option("Sources to evaluate; null is all of the data set.", None)
    split: str | tuple[str, ...] = option("Split of the data set, or several that are evaluated together.", "test")
    checkpoint: str = option(
        "The assessor; .safetensors, .ckpt or .onnx of ours, or a checkpoint of the reference's authors with "
        "assessor= and encoder=.",
        "${paths.checkpoint}",
        path=True,
    )
    decoding: Literal["consistent", "free"] | None = option("Null takes the decoding that the checkpoint was trained with.", None)
    backend: Backend | None = option(BACKEND_HELP, None)
    views: Literal[1, 2, 4, 8] = option("Turned and mirrored views of an image whose judgements are averaged; 1 is as it is.", 1)
    baselines: str | tuple[str, ...] = option(
        "Baselines in the table: always_right, boundary_prior, disagreement_best, disagreement_ensemble, "
        "disagreement_fitted, confidence, entropy, sam_agreement, or your own as module.Class. They learn from the "
        "train split, without the held-out sources.",
        ("always_right", "boundary_prior"),
    )
    fit: EvaluatedFitOptions = option(
        "With fit=layer, the masks of a source in a region are one layer to learn from, and methods are added: the assessor "
        "joined with the fit, the fit alone, and cleanlab on the fit's probabilities, where it is installed."
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
        "In a sweep, a run whose data or checkpoint is missing fails, or is listed in missing.json.",
        "error",
    )
    traceback: bool = option("Also print tracebacks of user errors.", False)
    dataset: DatasetOptions = option("The data set, a group.")
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    paths: PathOptions = option("Folders and files, a group.")


@dataclass(frozen=True, kw_only=True)
class DamageOptions:
    """The damage that is done."""

    removed: int = option("Number of polygons to remove.", 200, low=0)
    shifted: int = option("Number of polygons to shift.", 200, low=0)
    invented: int = option("Number of turned copies of polygons to put on empty ground.", 100, low=0)
    share: float | None = option(
        "Share of the polygons on the image to damage, a third of them in each of these ways, instead of these numbers.",
        None,
        low=0,
        high=1,
    )
    shift_px: tuple[float, float] = option(
        "Smallest and largest shift in pixels, in any direction.", (8, 24), low=0, ascending=True
    )
    emptied_px: float = option(
        "Side in pixels of a square in the middle of the image to empty, as if it had never been mapped; 0 empties nothing.",
        0,
        low=0,
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateDamage(Predict):
    """Find a known damage to a layer."""

    task: Literal["assessor", "damage", "scaling"] = option(  # type: ignore[assignment]
        "Chooses this file, conf/evaluate.yaml or conf/evaluate_scaling.yaml.", "damage"
    )
    program: str = option("Beginning of the command line, for --help.", "evaluate.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "evaluate")
    mask: str = option("A layer of polygons that is taken to be right, in any form that predict.py takes.", REQUIRED, path=True)
    seed: int = option("Seed of the choice and the placement of polygons.", 0, low=0, high=2**32 - 1)
    damage: DamageOptions = group(
        DamageOptions,
        "The damage to do. A layer of fewer than twice as many polygons as are removed and shifted gets less damage "
        "in the same proportions, and no more are invented than fit; the log gives the numbers.",
    )


@dataclass(frozen=True, kw_only=True)
class ScalingOptions:
    """Measurements."""

    sizes: tuple[tuple[int, int], ...] = option(
        "[rows, columns] in pixels of mosaics that repeat the scene; as virtual files they take no space.",
        ((5000, 5000), (10000, 10000)),
        low=1,
    )
    windows: tuple[tuple[int, int], ...] = option(
        "[window, overlap] in pixels for judging the scene; the others are compared with the first.",
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
    program: str = option("Beginning of the command line, for --help.", "evaluate.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "evaluate")
    mask: str = option("A raster on the grid of the image.", REQUIRED, path=True)
    scaling: ScalingOptions = group(ScalingOptions, "Measurements.")
