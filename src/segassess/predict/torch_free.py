"""`python -m segassess.predict.torch_free FILE.onnx IMAGE MASK DIR`: judge a mask in a process without torch.

Leaves `quality.tif`, `error.tif` and `refined.tif` as `predict.py` does, with its windows, probe squares, blending,
calibration and cuts. Needs numpy, OpenCV, onnxruntime and what reads and writes rasters.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.errors import SegAssessError
from segassess.models.onnx_graph import OnnxGraph
from segassess.outputs.rasters import ERROR, NODATA, QUALITY, REFINED, open_raster, probability_steps
from segassess.predict.probe_squares import judge_with_probe_squares
from segassess.predict.tiling import Area, Tiling, padded_batch, predict_bands
from segassess.quality import FN, FP, NOT_ASSESSED, NUM_CLASSES, TN, TP
from segassess.raster import ImageFile, MaskFile, open_image, open_mask
from segassess.version import __version__


def decide(probabilities: NDArray[np.float32], calibration: Mapping[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What `segassess.models.calibration.Calibration` makes of quality probabilities, without torch.

    Args:
        probabilities: float32 (4, h, w), as the graph gives them; NaN stays NaN.
        calibration: `Calibration.as_dict`.

    Returns:
        Quality codes, uint8 (h, w), and calibrated P(FP) + P(FN), float32 (h, w).
    """
    fp_cut, fn_cut = calibration["cuts"]
    decided = _mapped(probabilities, (1.0, -fp_cut), (1.0, -fn_cut))
    calibrated = _mapped(probabilities, calibration["fp"], calibration["fn"])
    return decided.argmax(axis=0).astype(np.uint8), calibrated[FP] + calibrated[FN]


def _mapped(probabilities: NDArray[np.float32], fp: Sequence[float], fn: Sequence[float]) -> NDArray[np.float32]:
    """Scale and shift the log-odds of an error within each pair; the pair's sum stays."""
    result = probabilities.copy()
    for right, wrong, (scale, shift) in ((TP, FP, fp), (TN, FN, fn)):
        if (scale, shift) == (1.0, 0.0):
            continue
        pair = probabilities[right] + probabilities[wrong]
        # 0 / 0, what a pixel cannot be at all, is left out below; 1 / 0 and 0 / 1 are certain and stay so.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            odds = scale * (np.log(probabilities[wrong]) - np.log(probabilities[right])) + shift
            result[wrong] = np.where(pair != 0, pair / (1 + np.exp(-odds)), 0)
            result[right] = np.where(pair != 0, pair / (1 + np.exp(odds)), 0)
    return result


def judge(graph: OnnxGraph, image: ImageFile, mask: MaskFile, folder: Path, tiling: Tiling = Tiling()) -> None:  # noqa: B008
    """Judge a mask of an image of any size, band of rows by band of rows, and write its maps.

    Args:
        graph: the exported assessor.
        image: the open image.
        mask: the open mask, on the image's grid.
        folder: where the maps go.
        tiling: of the windows.

    Raises:
        InputError: if image or mask cannot be read, or the graph does not take windows of this size.
        RequestError: if the folder cannot be written to.
    """
    grid, description = image.grid, graph.metadata.description
    tags = {
        "SEGASSESS_VERSION": __version__,
        "SEGASSESS_CHECKPOINT": graph.digest,
        "SEGASSESS_DECODING": description["decoding"],
    }

    def predict(areas: Sequence[Area]) -> list[list[NDArray[np.float32]]]:
        return [[_window(graph, image, mask, area)] for area in areas]

    with (
        open_raster(folder / "quality.tif", QUALITY, grid, tags) as quality,
        open_raster(folder / "error.tif", ERROR, grid, tags) as error,
        open_raster(folder / "refined.tif", REFINED, grid, tags) as refined,
    ):
        for band in predict_bands((grid.height, grid.width), predict, tiling):
            (probabilities,) = band.answers
            rows = slice(band.top, band.bottom)
            foreground, known = mask.read(rows, slice(0, grid.width))
            known = known & image.read(rows, slice(0, grid.width))[1] & ~np.isnan(probabilities).any(axis=0)
            codes, wrong = decide(probabilities, description["calibration"])
            quality.write(np.where(known, codes, np.uint8(NOT_ASSESSED)))
            error.write(probability_steps(wrong, known))
            kept = (foreground & (codes != FP)) | (codes == FN)
            refined.write(np.where(known, kept, np.uint8(NODATA)).astype(np.uint8))


def _window(graph: OnnxGraph, image: ImageFile, mask: MaskFile, area: Area) -> NDArray[np.float32]:
    """Quality probabilities float32 (4, h, w) of a window; NaN where the image has no data in it at all."""
    pixels, valid = image.read(*area)
    height, width = valid.shape
    if not valid.any():
        return np.full((NUM_CLASSES, height, width), np.nan, np.float32)
    multiple = graph.metadata.window_multiple
    images = padded_batch([pixels.transpose(2, 0, 1)], multiple)

    def judge(foregrounds: NDArray[np.bool_]) -> NDArray[np.float32]:
        masks = padded_batch(list(foregrounds[:, None].astype(np.float32)), multiple)
        return graph(images, masks)[..., :height, :width]

    (probabilities,) = judge_with_probe_squares(judge, mask.read(*area)[0][None])
    return np.asarray(probabilities)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m segassess.predict.torch_free", description=__doc__)
    parser.add_argument("graph", metavar="FILE.onnx", help="an assessor that export.py wrote")
    parser.add_argument("image", metavar="IMAGE", help="what GDAL reads")
    parser.add_argument("mask", metavar="MASK", help="a raster, or polygons")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where quality.tif, error.tif and refined.tif go")
    parser.add_argument("--window", type=int, default=Tiling.window, help="side of the windows in pixels (%(default)s)")
    parser.add_argument("--overlap", type=int, default=Tiling.overlap, help="by which windows overlap, in pixels (%(default)s)")
    given = parser.parse_args(arguments)
    try:
        graph, tiling = OnnxGraph(given.graph), Tiling(given.window, given.overlap)
        with open_image(given.image) as image, open_mask(given.mask, image.grid) as mask:
            for file in (image, mask):
                for note in file.notes:
                    print(f"Note: {file.path}: {note}")
            judge(graph, image, mask, given.folder, tiling)
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"Maps: {given.folder}")


if __name__ == "__main__":
    main()
