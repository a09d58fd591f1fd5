"""The config group `segmenter`: every file composes with every size and describes a network."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from segassess.models.segmenters.architectures import SEGMENTERS, resolved_spec
from tests.conftest import ROOT

GROUP = ROOT / "conf" / "segmenter"


def composed(folder, *overrides):
    (folder / "main.yaml").write_text("defaults:\n  - _self_\n  - segmenter: null\n")
    with initialize_config_dir(str(folder), version_base="1.3"):
        config = compose("main", [f"hydra.searchpath=[file://{ROOT / 'conf'}]", *overrides])
    return OmegaConf.to_container(config)["segmenter"]


def test_every_segmenter_has_a_config():
    assert {path.stem for path in GROUP.glob("*.yaml")} == set(SEGMENTERS)
    assert {path.stem for path in (GROUP / "size").glob("*.yaml")} == {"full", "small"}


@pytest.mark.parametrize("name", SEGMENTERS)
def test_each_lists_its_options_and_takes_the_size_s_values(name, tmp_path):
    spec = composed(tmp_path, f"segmenter={name}")
    sizes = SEGMENTERS[name].SIZES
    assert set(spec) - {"size"} == {"name", *sizes["full"]} and ("size" in spec) == (len(sizes) > 1)
    assert resolved_spec(spec) == {"name": name, "size": "full", **sizes["full"]}


@pytest.mark.parametrize("name", [name for name in SEGMENTERS if "width" in SEGMENTERS[name].SIZES["small"]])
def test_size_and_options_on_the_command_line(name, tmp_path):
    spec = composed(tmp_path, f"segmenter={name}", "segmenter/size=small", "segmenter.width=96")
    assert resolved_spec(spec) == {"name": name, "size": "small", **SEGMENTERS[name].SIZES["small"], "width": 96}
