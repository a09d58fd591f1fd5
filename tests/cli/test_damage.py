"""`evaluate.py task=damage` on a small scene."""

import json

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from tests.cli.scripts import run_fresh
from tests.predict.fit.conftest import QUICK


@pytest.mark.slow
def test_a_layer_is_damaged_and_judged(checkpoint, tmp_path):
    place = from_origin(500_000, 9_300_000, 0.5, 0.5)
    layout = {
        "driver": "GTiff",
        "height": 150,
        "width": 200,
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32736",
        "transform": place,
    }
    with rasterio.open(tmp_path / "image.tif", "w", **layout) as out:
        out.write(np.random.default_rng(0).integers(0, 255, (3, 150, 200)).astype(np.uint8))
    roofs = [
        shapely.box(500_002 + x, 9_299_990 - y, 500_008 + x, 9_299_996 - y) for x in range(0, 90, 15) for y in range(0, 60, 15)
    ]
    pyogrio.raw.write(
        tmp_path / "roofs.gpkg", shapely.to_wkb(np.array(roofs, object)), [], [], geometry_type="Polygon", crs="EPSG:32736"
    )
    arguments = "task=damage", f"image={tmp_path}/image.tif", f"mask={tmp_path}/roofs.gpkg", f"checkpoint={checkpoint}"
    numbers = "damage.removed=4", "damage.shifted=3", "damage.invented=2", "damage.shift_px=[3,5]", "damage.emptied_px=40"
    result = run_fresh("evaluate", *arguments, *numbers, f"output_dir={tmp_path}/out", "panel=false")
    assert "removed" in result.stdout and "precision" in result.stdout
    written = json.loads((tmp_path / "out" / "damage.json").read_text())
    assert written["found"]["FN"]["removed"]["pieces"] == 4 and written["found"]["FP"]["invented"]["pieces"] == 2
    emptied = written["found"]["FN"]["emptied"]["pieces"]
    assert 0 < emptied == written["found"]["missed"]["emptied"]["pieces"]
    assert pyogrio.read_info(tmp_path / "out" / "damaged.gpkg")["features"] == 24 - emptied - 4 + 2
    about, _, _, (kind, quality) = pyogrio.raw.read(tmp_path / "out" / "damage.gpkg")
    assert (
        about["crs"] == "EPSG:32736"
        and sorted(set(kind)) == ["emptied", "invented", "removed", "shifted"]
        and set(quality) == {"FP", "FN"}
    )
    assert (tmp_path / "out" / "judged" / "errors.gpkg").is_file()
    result = run_fresh(
        "evaluate", *arguments, "damage.removed=30", "damage.invented=0", f"output_dir={tmp_path}/less", "panel=false"
    )
    assert "2 removed (of 30 wanted), 10 shifted (of 200 wanted), 0 invented (of 0 wanted)." in result.stdout


@pytest.fixture
def damaged_town(tmp_path):
    """An image of 64 bright roofs in rows, and their polygons."""
    place = from_origin(500_000, 9_300_000, 0.5, 0.5)
    boxes = [(x, y, x + 24, y + 16) for x in range(40, 760, 96) for y in range(40, 760, 96)]
    pixels = np.random.default_rng(0).integers(30, 90, (3, 800, 800)).astype(np.uint8)
    for left, top, right, bottom in boxes:
        pixels[:, top:bottom, left:right] += 130
    layout = {
        "driver": "GTiff",
        "height": 800,
        "width": 800,
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32736",
        "transform": place,
    }
    with rasterio.open(tmp_path / "town.tif", "w", **layout) as out:
        out.write(pixels)
    roofs = [
        shapely.box(500_000 + left / 2, 9_300_000 - bottom / 2, 500_000 + right / 2, 9_300_000 - top / 2)
        for left, top, right, bottom in boxes
    ]
    path = tmp_path / "town.gpkg"
    pyogrio.raw.write(path, shapely.to_wkb(np.array(roofs, object)), [], [], geometry_type="Polygon", crs="EPSG:32736")
    return tmp_path / "town.tif", path


@pytest.mark.slow
def test_with_a_fit_shifts_are_compared(damaged_town, tmp_path):
    image, roofs = damaged_town
    keys = ["fit=layer", *(f"fit.{name}={value}" for name, value in QUICK.items())]
    numbers = "damage.removed=4", "damage.shifted=8", "damage.invented=4", "damage.shift_px=[4,7]"
    result = run_fresh(
        "evaluate", "task=damage", f"image={image}", f"mask={roofs}", f"output_dir={tmp_path}/out", "panel=false", *keys, *numbers
    )
    written = json.loads((tmp_path / "out" / "damage.json").read_text())
    assert written["shifts"]["shifted"] == 8 and written["shifts"]["near"] >= 6
    assert written["shifts"]["others"] == 64 - 4 - 8 + 4
    assert {kind: sum(row.values()) for kind, row in written["verdicts"].items()} == {"kept": 52, "shifted": 8, "invented": 4}
    assert written["verdicts"]["invented"].get("right", 0) <= 1 and written["verdicts"]["kept"]["right"] >= 45
    assert min(written["pixels"].values()) > 0.3
    mended = written["mended"]
    assert mended["after"] > mended["before"] + 0.02 and mended["dropped"] + mended["moved"] + mended["added"] > 0
    assert f"mended {mended['after']:.3f}" in result.stdout
    assert "shifted polygons" in result.stdout
