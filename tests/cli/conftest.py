from pathlib import Path

import pytest

import segassess.cli.composition  # noqa: F401  # registers the options, without which no config composes
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import Description, save_assessor
from tests.cli.scripts import QUICK, run_script


@pytest.fixture(scope="session")
def trained(tiny_folder, tmp_path_factory) -> Path:
    """The folder of a short training on the tiny data set."""
    folder = tmp_path_factory.mktemp("trained")
    run_script("train", "dataset=folder", f"dataset.root={tiny_folder}", *QUICK, f"hydra.run.dir={folder}")
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained, but complete assessor."""
    path = tmp_path_factory.mktemp("checkpoint") / "assessor.safetensors"
    assessor, encoder = {"name": "compact", "depth": 1}, {"name": "efficientnet_lite0", "pretrained": False}
    save_assessor(path, build_assessor(assessor, encoder), Description(assessor, encoder, "consistent"), half=True)
    return path
