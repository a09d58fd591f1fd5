"""`python -m segassess.predict.torch_free FILE.onnx IMAGE MASK DIR`: judge a mask in a process without torch.

Writes the files that `predict.py` writes of a mask. Needs onnxruntime or OpenVINO,
but neither torch nor packages that are built on it.
"""

import argparse
import logging
import sys
from pathlib import Path

from segassess.errors import SegAssessError
from segassess.models.graph_runtimes import RUNTIMES
from segassess.models.onnx_graph import OnnxGraph
from segassess.predict.pair_job import PairJob
from segassess.predict.scene_job import SceneJudge
from segassess.predict.tiling import Tiling
from segassess.raster.pairs import DEFAULT_SOURCE, Pair


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m segassess.predict.torch_free", description=__doc__)
    parser.add_argument("graph", metavar="FILE.onnx", help="an assessor that export.py wrote")
    parser.add_argument("image", metavar="IMAGE", help="a raster that GDAL can read")
    parser.add_argument("mask", metavar="MASK", help="a raster or polygons")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where maps, layers and tables go")
    parser.add_argument("--window", type=int, default=Tiling.window, help="side of the windows in pixels (%(default)s)")
    parser.add_argument("--overlap", type=int, default=Tiling.overlap, help="overlap of the windows in pixels (%(default)s)")
    parser.add_argument("--runtime", choices=RUNTIMES, default="onnxruntime", help="what computes the graph (%(default)s)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        judge = SceneJudge.of_graph(OnnxGraph(given.graph, runtime=given.runtime), tiling=Tiling(given.window, given.overlap))
        PairJob(Pair(Path(given.image).stem, given.image, {DEFAULT_SOURCE: given.mask}), judge, given.folder).run()
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"Maps, layers and tables: {given.folder}")


if __name__ == "__main__":
    main()
