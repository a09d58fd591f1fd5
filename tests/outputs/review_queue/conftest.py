import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from segassess.files import write_json
from segassess.models.calibration import Calibration
from segassess.outputs.tables import write_scores
from segassess.predict.pair_job import PairJob
from segassess.predict.scene import OutputSettings
from segassess.predict.scene_job import SceneJudge
from segassess.predict.torch_network import TorchNetwork
from segassess.raster.pairs import find_pairs
from segassess.synthetic import make_scene
from segassess.synthetic.perturbations import RECIPES, perturb
from tests.cli.conftest import checkpoint  # noqa: F401  # a fixture
from tests.predict.stubs import LocalAssessor

PLACE = {"crs": "EPSG:32736", "transform": from_origin(500_000.25, 9_300_000.75, 0.15, 0.15)}
DIGEST = "0123456789abcdef"


@pytest.fixture(scope="session")
def predicted(tmp_path_factory):
    """What predict.py leaves of a scene of 150 x 230 pixels with two masks, in tiles of 100 pixels."""
    folder = tmp_path_factory.mktemp("predicted")
    made = make_scene(11, (150, 230))
    rng = np.random.default_rng(0)
    bands = {"image": made.image.transpose(2, 0, 1)}
    for name in ("perturbed", "perturbed_outline"):
        bands[name] = perturb(made.truth["building"], made.image, rng, RECIPES[name])[None]
    for name, pixels in bands.items():
        size = {"count": len(pixels), "height": 150, "width": 230}
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", dtype="uint8", **size, **PLACE) as file:
            file.write(pixels.astype("uint8"))
    out, image = folder / "out", str(folder / "image.tif")
    masks = [str(folder / f"{name}.tif") for name in ("perturbed", "perturbed_outline")]
    (pair,) = find_pairs(image, masks).pairs
    output = OutputSettings(review_tile=100)
    network = TorchNetwork(LocalAssessor(), "consistent", torch.device("cpu"))
    judge = SceneJudge(network, "consistent", Calibration(), DIGEST, output=output)
    write_scores(out / "scores.csv", PairJob(pair, judge, out / pair.name).run().rows)
    config = {
        "image": image,
        "mask": masks,
        "rendering": {"bands": None, "value_range": None, "percentiles": [2, 98], "skip_unreadable": False},
    }
    write_json(out / "run.json", {"checkpoint_digest": DIGEST, "config": config})
    return out
