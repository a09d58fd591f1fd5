"""Learning from the layer as a method of `evaluate.py`: on tiles whose objects are easy to learn, with damaged masks."""

import csv
import json

import numpy as np
import pytest

from segassess.evaluation.fitted_layers import ALONE, CLEANLAB, JOINED
from tests.cli.scenes import write_tif
from tests.cli.scripts import run_fresh
from tests.predict.fit.conftest import QUICK, drawn, rectangles

STEPS = [f"fit.{key}={value}" for key, value in {**QUICK, "steps": 60}.items()]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Eight tiles of 256 px with nine objects each, of which the masks of `drawn` lack one, and to which they add one."""
    root = tmp_path_factory.mktemp("data") / "tiles"
    for number in range(8):
        truth, boxes = rectangles(256, 10, seed=number)
        mask = truth.copy()
        for (top, bottom, left, right), plane in ((boxes[0], mask), (boxes[1], truth)):
            plane[top:bottom, left:right] = False
        folder = root / "test"
        for kind, pixels in (("image", drawn(truth, number).transpose(2, 0, 1)), ("binary_map", truth[None].astype(np.uint8))):
            write_tif(folder / kind / f"{number}.tif", pixels)
        write_tif(folder / "seg_preds" / "drawn" / f"{number}.tif", mask[None].astype(np.uint8))
        if number < 2:
            write_tif(folder / "seg_preds" / "few" / f"{number}.tif", mask[None].astype(np.uint8))
    return root


@pytest.mark.slow
def test_the_fit_is_a_method_among_others(tiles, tmp_path):
    arguments = ["dataset=folder", f"dataset.root={tiles}", "dataset.made=[perturbed_objects]", "baselines=[always_right]"]
    result = run_fresh("evaluate", *arguments, "fit=layer", *STEPS, f"hydra.run.dir={tmp_path}")
    assert "few in tiles: a layer of 131,072 pixels is too small" in result.stdout + result.stderr
    found = json.loads((tmp_path / "metrics.json").read_text())["results"]
    joined = f"twin{JOINED}"
    assert set(found) == {"twin", joined, ALONE, CLEANLAB, "always_right"}
    # The bundled assessor does not know such objects; the layer teaches them.
    score = {name: metrics["drawn"]["fp_fn_miou"] for name, metrics in found.items()}
    assert score[ALONE] > 0.6 and score[CLEANLAB] > 0.3
    assert score[joined] > 0.6 > score["twin"]
    # Too small a layer is judged by the assessor alone, and by nothing that needs the fit.
    assert found[joined]["few"] == pytest.approx(found["twin"]["few"], nan_ok=True)
    assert "few" not in found[ALONE] and "perturbed_objects" in found[ALONE]
    rows = list(csv.DictReader((tmp_path / "tiles.csv").open()))
    assert len([row for row in rows if row["method"] == ALONE]) == 16
    # Made masks are kept, and the networks with them.
    assert len(list((tmp_path / "fit" / "masks" / "perturbed_objects").glob("*.tif"))) == 8
    networks = sorted(tmp_path.glob("fit/*/fold_*.safetensors"))
    assert len(networks) == 4
    times = [path.stat().st_mtime_ns for path in networks]
    run_fresh("evaluate", *arguments, "fit=layer", *STEPS, f"hydra.run.dir={tmp_path}")
    assert [path.stat().st_mtime_ns for path in networks] == times
