import os

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import segassess.cli.composition  # noqa: F401  # registers the options, without which no config composes
from segassess.prepare.downloads import SOURCES
from segassess.prepare.preparation import prepare, untracked
from tests.conftest import ROOT

TILE = 32
# Numbers of Inria's scenes: the usual ones would need nine of each city.
FEW = {"test": [1, 2], "valid": [3]}


def dataset_config(name, monkeypatch):
    """The node `dataset` of a data set's config."""
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return OmegaConf.to_container(compose("prepare", [f"dataset={name}"]).dataset, resolve=False)


@pytest.fixture
def run(monkeypatch):
    """Prepares a download with the options of its config, some of them changed."""
    # Hundreds of tiny files are flushed to disk elsewhere; here it would take most of the time.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def go(name, download, root, tile_size=TILE, overwrite=False, track=untracked, **options):
        node = dataset_config(name, monkeypatch)
        options = {**node["prepare"], **(FEW if name == "inria" else {}), **options}
        source = SOURCES[name](url=node["url"], **options)
        return prepare(source, download, root, tile_size, {"dataset": name, **options}, overwrite=overwrite, track=track)

    return go
