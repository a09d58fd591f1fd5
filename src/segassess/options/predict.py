"""`predict.py`."""

from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import BACKEND_HELP, Backend, StoredAssessor
from segassess.options.dataset import DatasetOptions
from segassess.options.engine import EngineOptions
from segassess.options.fit import FitOptions
from segassess.options.option import REQUIRED, group, option
from segassess.options.output import OutputSettings
from segassess.options.paths import PathOptions
from segassess.options.rendering import Rendering
from segassess.options.segmenter import SegmenterOptions
from segassess.options.tiling import TilingOptions
from segassess.options.trainer import TrainerOptions


@dataclass(frozen=True, kw_only=True)
class Predict(StoredAssessor):
    """Judge masks."""

    task: Literal["assessor", "segmenter"] = option(
        "Judge masks, or draw them; chooses this file or conf/predict_segmenter.yaml.", "assessor"
    )
    program: str = option("Beginning of the command line, for --help.", "predict.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "predict")
    image: str = option(
        "An image, a folder, a glob or a URL, or without `mask` a list of pairs: a CSV or Parquet file with the columns image "
        "and mask, or a collection of STAC items.",
        REQUIRED,
        path=True,
    )
    mask: str | tuple[str, ...] | None = option(
        "The mask, folder or glob that goes with `image`; masks and images match by stem. Rasters on any grid, or "
        "polygons (GeoPackage, GeoJSON, Shapefile, FlatGeobuf; `file.gpkg|layername=NAME` for one of several "
        "layers). A list judges several masks of one image.",
        None,
        path=True,
    )
    classes: tuple[int, ...] | None = option(
        "Classes of a raster, each judged against the rest; null takes values > 0 for foreground.", None
    )
    output_dir: str = option(
        "Folder for the results, or one in a bucket (s3://...): one folder per image, scores.csv, run.json.", REQUIRED, path=True
    )
    checkpoint: str = option("The assessor; .onnx is an exported graph (docs/export.md).", "${paths.checkpoint}", path=True)
    decoding: Literal["consistent", "free"] | None = option("Null takes the decoding that the checkpoint was trained with.", None)
    backend: Backend | None = option(BACKEND_HELP, None)
    calibration: str | None = option(
        "What `segassess calibrate` wrote: probabilities are corrected by it, decisions stay (docs/how-to/sign-a-figure.md).",
        None,
        path=True,
    )
    views: Literal[1, 2, 4, 8] = option("Turned and mirrored views of an image whose judgements are averaged; 1 is as it is.", 1)
    overwrite: bool = option("Judge again; false skips results that are complete with the same checkpoint and decoding.", False)
    panel: bool = option("Write panel.png (image | mask | quality map | error probability) beside the rasters.", True)
    rendering: Rendering = group(Rendering, "How the image becomes RGB; null is detected from the file.")
    tiling: TilingOptions = group(TilingOptions, "Windows for large images.")
    probe_squares: bool = option(
        "Look for missing objects where the mask is nearly empty, by adding squares to it there (docs/method.md).",
        True,
    )
    fit: FitOptions = option("Learning from the layer under test, a group.")
    engine: EngineOptions = option("Which processes judge scenes, a group.")
    output: OutputSettings = group(OutputSettings, "Which results to write, and how finely.")
    report: bool = option("Write report.html and findings.html, pages to review tiles and findings with, worst first.", True)
    report_pictures: int = option(
        "Largest number of tiles (the worst) with pictures on the page, about 40 kB each; others are only listed.", 500, low=0
    )
    traceback: bool = option("Also print tracebacks of user errors.", False)
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    paths: PathOptions = option("Folders and files, a group.")


@dataclass(frozen=True, kw_only=True)
class PredictSegmenter:
    """Draw a segmenter's masks beside a data set."""

    task: Literal["assessor", "segmenter"] = option(
        "Judge masks, or draw them; chooses this file or conf/predict.yaml.", "segmenter"
    )
    program: str = option("Beginning of the command line, for --help.", "predict.py task=segmenter")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "draw")
    split: str | tuple[str, ...] = option("Splits whose masks are drawn.", "valid")
    networks: str = option(
        "The segmenter's file, or folder of networks; each tile takes a network that has not learned from it, if there is one.",
        "${paths.segmenters}/${dataset.name}/${segmenter.name}",
        path=True,
    )
    threshold: float | None = option(
        "Probability above which a pixel belongs to the mask; null is the threshold that the segmenter was trained for.",
        None,
        above=0,
        below=1,
    )
    probabilities: bool = option("Also write the probabilities beside the masks.", False)
    overwrite: bool = option("Replace masks of an earlier run or of unknown origin.", False)
    traceback: bool = option("Also print tracebacks of user errors.", False)
    segmenter: SegmenterOptions = option("The segmenter, a group.")
    dataset: DatasetOptions = option("The data set, a group.")
    trainer: TrainerOptions = option("Lightning's trainer, a group.")
    paths: PathOptions = option("Folders and files, a group.")
