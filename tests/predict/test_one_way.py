"""predict.py, the Python API, a graph without torch and evaluation say the same of a scene, whatever its size."""

import numpy as np
import pytest
import rasterio
import torch

from segassess import quality
from segassess.api.judge import Judge
from segassess.data.batch import Batch
from segassess.models.onnx_graph import OnnxGraph
from segassess.predict.pair_job import PairJob
from segassess.predict.scene_job import SceneJudge
from segassess.raster.pairs import Pair
from segassess.training.module import assess_batch
from tests.cli.scenes import write_tif

CPU = torch.device("cpu")
# The default window has 640 pixels; networks pad to multiples of 32.
SIZES = [(61, 37), (45, 1), (1, 45), (1, 1), (33, 64), (64, 96)]


def evaluated(loaded, image, mask):
    """Codes and P(error) as `evaluate.py` counts them."""
    planes = torch.from_numpy(mask)[None, None]
    pixels = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255))
    batch = Batch(pixels, planes.float(), None, torch.ones_like(planes), ["image"], ["mask"])
    with torch.inference_mode():
        logits = assess_batch(loaded.assessor, batch).quality_logits
    about = loaded.description
    probabilities = quality.probabilities(logits, batch.mask, about.decoding)
    codes = quality.decode(about.calibration.for_decisions(probabilities))
    return codes[0].numpy(), quality.error_map(about.calibration(probabilities))[0].numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_all_agree(size, compact, graph_file, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(1, 255, (*size, 3)).astype(np.uint8)
    mask = rng.random(size) > 0.5
    write_tif(tmp_path / "image.tif", image.transpose(2, 0, 1))
    write_tif(tmp_path / "mask.tif", mask[None].astype(np.uint8))
    pair = Pair("image", str(tmp_path / "image.tif"), {"mask": str(tmp_path / "mask.tif")})
    judge = SceneJudge.of(compact, CPU, probe_squares=False)
    without_torch = SceneJudge.of_graph(OnnxGraph(graph_file), probe_squares=False)
    found = {"evaluate": evaluated(compact, image, mask)}
    for name, each in (("predict", judge), ("graph", without_torch)):
        PairJob(pair, each, tmp_path / name).run()
        codes, steps = (rasterio.open(tmp_path / name / f"{kind}.tif").read(1) for kind in ("quality", "error"))
        found[name] = codes, steps / 250
    judged = Judge(compact, judge, CPU).assess(image, mask)
    found["api"] = judged.quality, judged.error
    codes, error = found.pop("evaluate")
    for name, (other_codes, other_error) in found.items():
        assert other_codes.shape == size and np.array_equal(other_codes, codes), name
        # P(error) is stored in steps of 0.004.
        np.testing.assert_allclose(other_error, error, atol=0.0021, err_msg=name)
