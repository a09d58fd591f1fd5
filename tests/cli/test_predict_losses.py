"""`predict.py` loses nothing: killed at any moment, on a full disk, on a damaged image."""

import csv
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from tests.cli.scenes import PLACE, WINDOWS, write_scenes, write_tif
from tests.cli.scripts import error_of, run_fresh
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two scenes of several bands of rows."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, {"a": 150, "b": 250})
    return folder


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_in_the_same_files(scenes, checkpoint, tmp_path):
    inputs = f"image={scenes}/image", f"mask={scenes}/mask", f"checkpoint={checkpoint}", "panel=false", *WINDOWS
    command = [sys.executable, "-m", "tests.cli.killing", "20", "seed", str(tmp_path), *inputs]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=550)
    assert result.returncode == 0, result.stderr[-3000:]
    done = json.loads(result.stdout.splitlines()[-1])
    assert done["kills"] == 20 and done["files"] > 20
    assert done["differing"] == []


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_named_and_the_same_command_goes_on(scenes, checkpoint, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    inputs = f"image={scenes}/image", f"mask={scenes}/mask", f"checkpoint={checkpoint}", *WINDOWS
    try:
        result = run_fresh("predict", *inputs, f"output_dir={disk}/out", code=1)
        assert "No space left on device" in error_of(result) or "could not be read back" in error_of(result)
        assert not [path for path in disk.rglob("*") if ".part" in path.name]
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        run_fresh("predict", *inputs, f"output_dir={disk}/out")
        run_fresh("predict", *inputs, f"output_dir={tmp_path}/out")
        for path in sorted((tmp_path / "out").rglob("*.tif")):
            other = disk / "out" / path.relative_to(tmp_path / "out")
            assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest(), path
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_damaged_image_is_refused_or_read_around(scenes, checkpoint, tmp_path):
    (tmp_path / "image").mkdir()
    pixels = np.random.default_rng(1).integers(1, 255, (3, 150, 200)).astype(np.uint8)
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "interleave": "pixel", **PLACE}
    for name in ("damaged", "sound"):
        write_tif(tmp_path / "image" / f"{name}.tif", pixels, **layout)
        write_tif(tmp_path / "mask" / f"{name}.tif", (pixels[:1] > 150).astype(np.uint8), **PLACE)
    damaged = tmp_path / "image" / "damaged.tif"
    with rasterio.open(damaged) as file:
        offset, size = (int(file.get_tag_item(f"BLOCK_{what}_1_1", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    with damaged.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
    inputs = (
        f"image={tmp_path}/image",
        f"mask={tmp_path}/mask",
        f"checkpoint={checkpoint}",
        f"output_dir={tmp_path}/out",
        *WINDOWS,
    )
    assert "damaged.tif is damaged or truncated" in error_of(run_fresh("predict", *inputs, code=1))
    assert (tmp_path / "out" / "sound" / "scores.json").is_file() and not (tmp_path / "out" / "damaged" / "quality.tif").exists()
    skipping = *inputs, "rendering.skip_unreadable=true", "output.formats=[gpkg,parquet]"
    for _ in range(2):  # complete from the first time, it is named the second time as well
        assert "4,096 of 30,000 pixels" in error_of(run_fresh("predict", *skipping, code=1))
    with rasterio.open(tmp_path / "out" / "damaged" / "quality.tif") as file:
        codes = file.read(1)
    lost = np.zeros(codes.shape, bool)
    lost[64:128, 64:128] = True
    assert np.array_equal(codes == 255, lost)
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert table["name"] == [row["name"] for row in rows] and len(rows) == 2
    assert table["estimated_iou"] == pytest.approx([float(row["estimated_iou"]) for row in rows], rel=1e-5)
    assert (tmp_path / "out" / "damaged" / "tiles.parquet").is_file()
    damaged.unlink()
    result = run_fresh("predict", *inputs, f"image={damaged}", f"mask={tmp_path}/mask/damaged.tif", code=2)
    assert "does not exist" in error_of(result)
