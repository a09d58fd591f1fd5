"""`predict.py` in several processes: the same files as in one."""

import csv
import hashlib

import numpy as np
import pytest

from tests.cli.scenes import WINDOWS, write_scenes, write_tif
from tests.cli.scripts import error_of, run_script


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A small scene, a large one that two processes must cut, and one whose mask is of another size."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, {"a": 60, "b": 400, "c": 90})
    write_tif(folder / "mask" / "c.tif", np.ones((1, 7, 7), np.uint8))
    return folder


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("run.json", "scores.json")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_two_processes_leave_what_one_leaves(scenes, checkpoint, tmp_path):
    common = f"image={scenes}/image", f"mask={scenes}/mask", f"checkpoint={checkpoint}", *WINDOWS
    one = run_script("predict", *common, f"output_dir={tmp_path}/one", code=1)
    two = run_script("predict", *common, f"output_dir={tmp_path}/two", "trainer=ddp_cpu", code=1)
    assert "c.tif" in error_of(one) and error_of(two) == error_of(one)
    assert digests(tmp_path / "two") == digests(tmp_path / "one")
    assert [row["name"] for row in csv.DictReader((tmp_path / "two" / "scores.csv").open())] in (["a", "b"], ["b", "a"])
    again = run_script("predict", *common, f"output_dir={tmp_path}/two", "trainer=ddp_cpu", code=1)
    assert "2 of 3 were complete" in again.stdout


def test_models_are_not_shared(scenes, checkpoint, tmp_path):
    result = run_script(
        "predict",
        f"image={scenes}/image",
        f"mask={scenes}/mask",
        f"checkpoint={checkpoint}",
        f"output_dir={tmp_path}/out",
        "trainer=ddp_cpu",
        "trainer.strategy=fsdp",
        code=2,
    )
    error = error_of(result)
    assert "trainer.strategy" in error and "fsdp" in error
    assert not (tmp_path / "out").exists()
