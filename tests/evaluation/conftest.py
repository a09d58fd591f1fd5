"""Judged masks to draw samples from."""

import csv
import json

import numpy as np
import pytest
import rasterio

from segassess.findings.bands import PROBABILITY_STEPS
from segassess.quality import FN, FP, TN, TP
from tests.conftest import save

SIDE = 160
# Of the record that `predict.py` leaves, what tells one assessor from another.
JUDGE = {"checkpoint_digest": "0123456789abcdef", "assessor": {"decoding": "consistent"}}


@pytest.fixture
def judged(tmp_path):
    """Two judged masks of one source, as `predict.py` leaves them, as far as a sample reads it; and the truth by name."""
    rng = np.random.default_rng(1)
    truths = {}
    for name in ("a", "b"):
        truth = np.zeros((SIDE, SIDE), bool)
        truth[20:90, 20:90] = True
        truth[110:150, 100:150] = True
        mask = truth.copy()
        mask[20:40, 20:90] = False
        mask[100:108, 10:60] = True
        mask[110:150, 100:110] = False
        error = np.where(mask != truth, rng.uniform(0.3, 1, truth.shape), rng.uniform(0, 0.15, truth.shape))
        called = error > 0.5
        codes = np.where(mask, np.where(called, FP, TP), np.where(called, FN, TN)).astype(np.uint8)
        codes[:, :3] = 255
        save(tmp_path / "images" / f"{name}.png", rng.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8))
        save(tmp_path / "masks" / f"{name}.png", mask.astype(np.uint8) * 255)
        folder = tmp_path / "out" / name
        save(folder / "quality.tif", codes)
        steps = np.rint(error * PROBABILITY_STEPS).astype(np.uint8)
        save(folder / "error.tif", np.where(codes == 255, 255, steps).astype(np.uint8))
        with rasterio.open(folder / "error.tif", "r+") as file:
            file.scales = (1 / PROBABILITY_STEPS,)
        (folder / "tiles.csv").write_text("tile\n")
        truths[name] = truth
    (tmp_path / "out" / "scores.csv").write_text("name,source\na,drawn\nb,drawn\n")
    config = {"image": str(tmp_path / "images"), "mask": str(tmp_path / "masks")}
    (tmp_path / "out" / "run.json").write_text(json.dumps({"config": config, **JUDGE}))
    return tmp_path / "out", truths


def answered(path, truths, skip=0):
    """Fill the column `answer` of a sample from the truth, but for the first `skip` points."""
    rows = list(csv.DictReader(path.open()))
    for index, row in enumerate(rows):
        on = truths[row["name"]][int(row["row"]), int(row["column"])]
        row["answer"] = "" if index < skip else "object" if on else "background"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
