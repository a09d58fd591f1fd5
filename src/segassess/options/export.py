"""`export.py` and `segassess prepare`."""

from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import AssessorOptions
from segassess.options.dataset import DatasetOptions
from segassess.options.encoder import EncoderOptions
from segassess.options.option import REQUIRED, group, option
from segassess.options.paths import PathOptions


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """The ONNX graph."""

    opset: int = option("Version of ONNX's operators.", 18, low=18, high=20)
    size: int | None = option(
        "The one height and width that the graph takes, in pixels; null is any, or 640 where the encoder allows but one (SAM's).",
        None,
        low=1,
    )


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Compare the graph with torch on generated scenes."""

    tolerance: float = option(
        "Largest difference of probabilities that is allowed, and below which a pixel may be of either of two classes.",
        0.0001,
        above=0,
    )
    speed_repeats: int = option(
        "Runs whose median gives the seconds per megapixel of torch and onnxruntime; 0 leaves that out.", 3, low=0
    )


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write an assessor in other formats."""

    program: str = option("How the command line begins, for --help.", "export.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "export")
    checkpoint: str = option(
        "The assessor; .safetensors or .ckpt of ours, a folder that an export left, or a checkpoint of the "
        "reference's authors with assessor= and encoder=.",
        "${paths.checkpoint}",
        path=True,
    )
    decoding: Literal["consistent", "free"] | None = option(
        "Null is what the checkpoint was trained with. It is part of the ONNX graph.", None
    )
    output_dir: str = option("Where files go.", REQUIRED, path=True)
    formats: tuple[Literal["onnx", "huggingface", "stac"], ...] = option(
        "What is written: assessor.onnx, huggingface/, and stac_item.json about the other two.", ("onnx", "huggingface", "stac")
    )
    name: str | None = option("What the model is called; null is the name of the checkpoint's file without its suffix.", None)
    licence: str | None = option(
        "Licence of the weights, an SPDX identifier; null is what a README.md beside the checkpoint states, or not stated.", None
    )
    onnx: OnnxOptions = group(OnnxOptions, "The ONNX graph.")
    check: CheckOptions = group(CheckOptions, "Compare the graph with torch on generated scenes.")
    overwrite: bool = option("False stops where a file of an earlier export is in the way.", False)
    traceback: bool = option("Print tracebacks of user errors as well.", False)
    encoder: EncoderOptions | None = option(
        "Image encoder, a group; only for checkpoints that do not say what they are (the reference's)."
    )
    assessor: AssessorOptions | None = option(
        "Composition, a group; only for checkpoints that do not say what they are (the reference's)."
    )
    paths: PathOptions = option("Where things lie, a group.")


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Turn an official download into tiles."""

    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "prepare")
    download: str | None = option(
        "The folder with the unpacked official download; it is only read. Tiles go to dataset.root.", None, path=True
    )
    overwrite: bool = option(
        "False goes on where an earlier run with the same settings stopped; true makes all tiles anew.", False
    )
    traceback: bool = option("Print tracebacks of user errors as well.", False)
    dataset: DatasetOptions | None = option("The data set, a group.")
    paths: PathOptions = option("Where things lie, a group.")
