"""Two editions of a layer, compared where they differ."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine

from segassess.cli import compare as tool
from segassess.errors import ConfigError, RequestError
from segassess.evaluation.editions import compare_editions
from segassess.findings.bands import PROBABILITY_STEPS
from segassess.outputs.judged_folder import judged_folders
from segassess.quality import FN, FP, TN, TP

SIDE = 600
# Rows and columns of the true object, one that both editions have, one that only the newer has, and an invention of the newer.
BOTH, BETTER, WORSE = (slice(10, 60), slice(10, 60)), (slice(500, 540), slice(30, 70)), (slice(100, 120), slice(550, 590))


def edition(folder, name, boxes, certain=0.9, crs="EPSG:32645"):
    mask, truth = np.zeros((2, SIDE, SIDE), bool)
    for box in boxes:
        mask[box] = True
    for box in (BOTH, BETTER):
        truth[box] = True
    error = np.where(mask != truth, certain, 0.1)
    called = error > 0.5
    codes = np.where(mask, np.where(called, FP, TP), np.where(called, FN, TN)).astype(np.uint8)
    codes[:, -5:] = 255
    steps = np.where(codes == 255, 255, np.rint(error * PROBABILITY_STEPS)).astype(np.uint8)
    place = folder / "scene" / name
    place.mkdir(parents=True)
    about = {"driver": "GTiff", "count": 1, "dtype": "uint8", "width": SIDE, "height": SIDE, "crs": crs}
    for file, pixels in (("quality", codes), ("error", steps)):
        with rasterio.open(place / f"{file}.tif", "w", transform=Affine(0.5, 0, 3e5, 0, -0.5, 3e6), **about) as out:
            out.write(pixels, 1)
            if file == "error":
                out.scales = (1 / PROBABILITY_STEPS,)
    lines = [
        f"r{row}c{column},{300 * column},{300 * row},{300 * column + 300},{300 * row + 300}"
        for row in (0, 1)
        for column in (0, 1)
    ]
    (place / "tiles.csv").write_text("\n".join(["tile,left,top,right,bottom", *lines]))


@pytest.fixture
def judged(tmp_path):
    edition(tmp_path, "old", (BOTH,))
    edition(tmp_path, "new", (BOTH, BETTER, WORSE))
    (tmp_path / "scores.csv").write_text("name,source,estimated_iou\nscene,old,0.6\nscene,new,0.8\n")
    (tmp_path / "run.json").write_text("{}")
    return tmp_path


def test_only_what_differs_counts_and_the_worst_comes_first(judged):
    new, old = sorted(judged_folders(judged), key=lambda mask: mask.source)
    found = compare_editions(old, new)
    assert (found.added, found.removed) == (40 * 40 + 20 * 40, 0)
    # Both judgements say 0.9 of the truth of the one, and 0.1 of the other.
    assert found.won == pytest.approx(0.9 * 1600 + 0.1 * 800, rel=1e-3) and found.won + found.lost == 2400
    columns = {name: values.tolist() for name, values in found.areas.columns.items()}
    assert columns["verdict"] == ["worse", "better"] and columns["area_px"] == [800, 1600] and columns["change"] == [1, 2]
    assert columns["p_right"] == pytest.approx([0.1, 0.9]) and columns["area_m2"] == pytest.approx([200, 400], rel=0.01)
    assert columns["gain_px"] == pytest.approx([-640, 1280]) and set(columns["did"]) == {"added"}
    assert [tile["tile"] for tile in found.tiles] == ["r0c1", "r0c0", "r1c1", "r1c0"]
    assert found.tiles[0]["changed_px"] == 800 and found.tiles[3]["won_px"] == pytest.approx(1440, rel=1e-3)
    # The other way round, everything is undone.
    undone = compare_editions(new, old)
    assert (undone.added, undone.removed) == (0, 2400) and undone.won == pytest.approx(found.lost)


def test_an_edition_is_accepted_or_not(judged, capsys):
    arguments = [f"input={judged}", "old=old", "new=new"]
    tool.main([*arguments, "min_iou=0.75", "min_gain=0.2"])
    assert "new is accepted." in capsys.readouterr().out
    layer = geopandas.read_file(judged / "compared" / "differences.gpkg", layer="differences")
    assert layer.crs == "EPSG:32645" and layer.geometry.area.tolist() == pytest.approx([200, 400])
    assert json.loads((judged / "compared" / "comparison.json").read_text())["gain"] == pytest.approx(0.2667, rel=0.01)
    for limit, words in (("min_iou=0.9", "estimated IoU is 0.800"), ("min_gain=0.5", "wins 0.267")):
        with pytest.raises(SystemExit) as stopped:
            tool.main([*arguments, limit])
        assert stopped.value.code == 1 and words in capsys.readouterr().out


def test_equal_editions_differ_nowhere(judged, capsys):
    edition(judged, "copy", (BOTH,))
    (judged / "scores.csv").write_text("name,source,estimated_iou\nscene,old,0.6\nscene,copy,0.6\n")
    tool.main([f"input={judged}", "old=old", "new=copy", "min_gain=0.5"])
    assert "0 changed areas" in capsys.readouterr().out
    assert len(geopandas.read_file(judged / "compared" / "differences.gpkg", layer="differences")) == 0
    with pytest.raises(RequestError, match="two editions"):
        tool.main([f"input={judged}", "old=copy", "new=copy"])


def test_wrong_requests_are_one_sentence(judged):
    with pytest.raises(ConfigError, match="new is missing"):
        tool.main([f"input={judged}", "old=old"])
    with pytest.raises(RequestError, match="No judged mask has new=third; there are: scene, mask of old"):
        tool.main([f"input={judged}", "old=old", "new=third"])
    edition(judged, "third", (BOTH,), crs="EPSG:32646")
    (judged / "scores.csv").write_text("name,source,estimated_iou\nscene,old,0.6\nscene,third,0.8\n")
    with pytest.raises(RequestError, match="judge both over one image"):
        tool.main([f"input={judged}", "old=old", "new=third"])
