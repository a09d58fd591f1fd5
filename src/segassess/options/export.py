"""`export.py` and `segassess prepare`."""

from dataclasses import dataclass
from typing import Literal

from segassess.options.assessor import StoredAssessor
from segassess.options.dataset import DatasetOptions
from segassess.options.option import REQUIRED, group, option
from segassess.options.paths import PathOptions


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """The ONNX graph."""

    opset: int = option("Version of ONNX's operators.", 18, low=18, high=20)
    size: int | None = option(
        "The only height and width of the graph in pixels; null is any, or 640 if the encoder allows only one (SAM's).",
        None,
        low=1,
    )


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Compare the graph with torch on generated scenes."""

    tolerance: float = option(
        "Largest difference of probabilities; within it a pixel may have either of two classes.",
        0.0001,
        above=0,
    )
    other_share: float = option(
        "Largest share of all compared pixels whose most probable class may differ in the graph of 8 bits.",
        0.005,
        low=0,
        high=1,
    )
    speed_repeats: int = option("Runs for the median seconds per megapixel of torch and onnxruntime; 0 skips them.", 3, low=0)


@dataclass(frozen=True, kw_only=True)
class Export(StoredAssessor):
    """Write an assessor in other formats."""

    program: str = option("Beginning of the command line, for --help.", "export.py")
    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "export")
    checkpoint: str = option(
        "The assessor; .safetensors or .ckpt of ours, a folder that an export left, or a checkpoint of the "
        "reference's authors with assessor= and encoder=.",
        "${paths.checkpoint}",
        path=True,
    )
    decoding: Literal["consistent", "free"] | None = option(
        "Null takes the decoding that the checkpoint was trained with, which becomes part of the ONNX graph.", None
    )
    output_dir: str = option("Folder for the files.", REQUIRED, path=True)
    formats: tuple[Literal["onnx", "onnx_int8", "huggingface", "stac"], ...] = option(
        "Files to write: assessor.onnx, assessor_int8.onnx, which computes some convolutions with 8 bits, huggingface/, and "
        "stac_item.json, which describes assessor.onnx and huggingface/.",
        ("onnx", "huggingface", "stac"),
    )
    name: str | None = option("Name of the model; null is the checkpoint's file name without its suffix.", None)
    licence: str | None = option(
        "Licence of the weights, an SPDX identifier; null takes it from a README.md beside the checkpoint, if there is one.", None
    )
    onnx: OnnxOptions = group(OnnxOptions, "The ONNX graph.")
    check: CheckOptions = group(CheckOptions, "Compare the graph with torch on generated scenes.")
    overwrite: bool = option("Replace files of an earlier export; false refuses.", False)
    traceback: bool = option("Also print tracebacks of user errors.", False)
    paths: PathOptions = option("Folders and files, a group.")


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Turn an official download into tiles."""

    task_name: str = option("First part of the folder of this run's log under paths.output_root.", "prepare")
    download: str | None = option(
        "Folder with the unpacked official download, which stays untouched. Tiles go to dataset.root.", None, path=True
    )
    overwrite: bool = option("True makes all tiles again; false continues an earlier run with the same settings.", False)
    traceback: bool = option("Also print tracebacks of user errors.", False)
    dataset: DatasetOptions | None = option("The data set, a group.")
    paths: PathOptions = option("Folders and files, a group.")
