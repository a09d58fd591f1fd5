import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import segassess
from segassess.api import OutputSettings, Tiling
from segassess.synthetic import make_scene
from segassess.synthetic.perturbations import RECIPES, perturb
from tests.cli.conftest import checkpoint  # noqa: F401  # a fixture

PLACE = {"crs": "EPSG:32736", "transform": from_origin(500_000, 9_300_000, 0.5, 0.5)}


@pytest.fixture(scope="session")
def judge(checkpoint):  # noqa: F811
    """An assessor that was not trained, and small windows and tiles, so that a small scene has several."""
    return segassess.load(checkpoint, tiling=Tiling(96, 32), output=OutputSettings(review_tile=100))


@pytest.fixture(scope="session")
def scene():
    """A scene of odd size, and two masks of it by name."""
    made = make_scene(11, (150, 210))
    rng = np.random.default_rng(0)
    masks = {name: perturb(made.truth["building"], made.image, rng, RECIPES[name]) for name in ("perturbed", "perturbed_outline")}
    return made, masks


@pytest.fixture(scope="session")
def files(scene, tmp_path_factory):
    """The scene as georeferenced files: image.tif and a file per mask."""
    folder = tmp_path_factory.mktemp("files")
    made, masks = scene
    for name, bands in {"image": made.image.transpose(2, 0, 1), **{name: mask[None] for name, mask in masks.items()}}.items():
        size = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", dtype="uint8", **size, **PLACE) as file:
            file.write(bands.astype(np.uint8))
    return folder
