"""`predict.py`."""

from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import AssessorOptions
from segassess.options.dataset import DatasetOptions
from segassess.options.encoder import EncoderOptions
from segassess.options.option import REQUIRED, group, option
from segassess.options.output import OutputSettings
from segassess.options.paths import PathOptions
from segassess.options.rendering import Rendering
from segassess.options.segmenter import SegmenterOptions
from segassess.options.tiling import TilingOptions
from segassess.options.trainer import TrainerOptions


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Judge masks."""

    task: Literal["assessor", "segmenter"] = option(
        "Judge masks, or draw them; chooses this file or conf/predict_segmenter.yaml.", "assessor"
    )
    program: str = option("How the command line begins, for --help.", "predict.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "predict")
    image: str = option(
        "An image, a folder, a glob, or a CSV with the columns image and mask (then leave `mask` out).", REQUIRED, path=True
    )
    mask: str | tuple[str, ...] | None = option(
        "The mask, folder or glob that goes with `image`; masks and images match by stem. Rasters on any grid, or "
        "polygons (GeoPackage, GeoJSON, Shapefile, FlatGeobuf; `file.gpkg|layername=NAME` for one of several "
        "layers). A list judges several masks of one image.",
        None,
        path=True,
    )
    classes: tuple[int, ...] | None = option(
        "The mask is a raster of classes, and each of these is judged against the rest; null: values > 0 are foreground.", None
    )
    output_dir: str = option("Where results go; one folder per image, scores.csv, run.json.", REQUIRED, path=True)
    checkpoint: str = option("The assessor; .onnx runs in onnxruntime (docs/export.md).", "${paths.checkpoint}", path=True)
    decoding: Literal["consistent", "free"] | None = option("Null is what the checkpoint was trained with.", None)
    overwrite: bool = option("False skips what is complete from an earlier run with the same checkpoint and decoding.", False)
    panel: bool = option("Write panel.png (image | mask | quality map | error probability) beside the rasters.", True)
    rendering: Rendering = group(Rendering, "How the image becomes RGB; what is null is found out from the file.")
    tiling: TilingOptions = group(TilingOptions, "Windows that large images are judged by.")
    probe_squares: bool = option(
        "Look for what is missing where the mask has next to nothing, with squares that are added to it there (docs/method.md).",
        True,
    )
    output: OutputSettings = group(OutputSettings, "What is written.")
    report: bool = option("Write report.html, a page to review tiles with, worst first.", True)
    report_pictures: int = option(
        "The page shows pictures of so many tiles at most, the worst, about 40 kB each; others are listed.", 500, low=0
    )
    traceback: bool = option("Print tracebacks of user errors as well.", False)
    encoder: EncoderOptions | None = option(
        "Image encoder, a group; only for checkpoints that do not say what they are (the reference's)."
    )
    assessor: AssessorOptions | None = option(
        "Composition, a group; only for checkpoints that do not say what they are (the reference's)."
    )
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    paths: PathOptions = option("Where things lie, a group.")


@dataclass(frozen=True, kw_only=True)
class PredictSegmenter:
    """Draw a segmenter's masks beside a data set."""

    task: Literal["assessor", "segmenter"] = option(
        "Judge masks, or draw them; chooses this file or conf/predict.yaml.", "segmenter"
    )
    program: str = option("How the command line begins, for --help.", "predict.py task=segmenter")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "draw")
    split: str | tuple[str, ...] = option("Splits whose masks are drawn.", "valid")
    networks: str = option(
        "The segmenter's file, or folder of networks; each tile is segmented by one that has not learned from it, if "
        "there is one.",
        "${paths.segmenters}/${dataset.name}/${segmenter.name}",
        path=True,
    )
    threshold: float | None = option(
        "Probability above which a pixel belongs to the mask; null is what the segmenter was trained for.", None, above=0, below=1
    )
    probabilities: bool = option("Write the probabilities beside the masks as well.", False)
    overwrite: bool = option(
        "Draw masks anew that are complete from an earlier run, and in place of those of unknown origin.", False
    )
    traceback: bool = option("Print tracebacks of user errors as well.", False)
    segmenter: SegmenterOptions = option("The segmenter, a group.")
    dataset: DatasetOptions = option("The data set, a group.")
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    paths: PathOptions = option("Where things lie, a group.")
