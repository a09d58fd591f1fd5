"""The published data sets from download to training, on made-up archives of the official structure."""

import json
import os

import pytest
from hydra import compose, initialize_config_dir

from segassess.cli import prepare
from tests.cli.scripts import run_script
from tests.conftest import ROOT
from tests.prepare.archives import make_all

NAMES = ("inria", "crowdai", "deepglobe", "gid", "baqs", "waqs")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """All published data sets, prepared from made-up downloads."""
    folder = tmp_path_factory.mktemp("published")
    os.environ.setdefault("SEGASSESS_ROOT", str(ROOT))
    for name, download in make_all(folder / "downloads").items():
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            prepare.run(compose("prepare", [f"dataset={name}", f"download={download}", f"paths.data_dir={folder / 'data'}"]))
    return folder / "data"


@pytest.mark.slow
def test_all_six_train_by_one_multirun(data_dir, tmp_path):
    sweep = tmp_path / "sweep"
    run_script(
        "train",
        "-m",
        f"dataset={','.join(NAMES)}",
        "trainer.fast_dev_run=true",
        "trainer.enable_progress_bar=false",
        f"paths.data_dir={data_dir}",
        f"hydra.sweep.dir={sweep}",
    )
    folders = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert len(folders) == len(NAMES)
    trained = [json.loads((folder / "metrics.json").read_text())["about"]["training"]["dataset"]["name"] for folder in folders]
    assert trained == list(NAMES)


def test_groups_and_regions_of_prepared_tiles_are_read(data_dir):
    from segassess.data.tiles import FolderTiles

    tiles = FolderTiles(data_dir / "inria").tiles("train")
    assert len({tile.group for tile in tiles}) < len(tiles)
    assert {tile.region for tile in tiles} <= {"austin", "chicago", "kitsap", "tyrol-w", "vienna"}
    raw = FolderTiles(data_dir / "waqs").tiles("test")
    assert all("raw" in tile.masks for tile in raw)
