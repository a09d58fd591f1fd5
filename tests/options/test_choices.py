"""Every choice of a group goes with every experiment that goes with the script, or the refusal says which choices do."""

import pytest
from hydra.errors import HydraException

from segassess.cli.composition import check_config, clash, compose_run
from segassess.errors import ConfigError
from tests.options.configs import CONF, NEEDED, command_lines, loading, options_by_group

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
# Every option of the other groups occurs in so many command lines; of the data sets a sample does.
LINES = 6
_INTACT = ("dataset=all_real", "assessor=twin", "encoder=efficientnet_lite0", "sampling=ams_folders", "callbacks=averaged")
# Experiments that set keys of one choice of a group.
ONLY = {
    "benchmark_fit": ("fit=layer",),
    "benchmark_regions": ("dataset=shared_tiles",),
    "quick": ("dataset=synthetic",),
    "paper": ("callbacks=default",),
    "paper_segmenters": ("callbacks=default",),
    "twin_lite0": _INTACT,
    "twin_lite0_intact": _INTACT,
    "twin_lite0_long": ("assessor=twin", "encoder=efficientnet_lite0", "sampling=ams_folders", "callbacks=averaged"),
    "twin_lite0_wide": ("assessor=twin", "encoder=efficientnet_lite0", "sampling=ams_folders", "callbacks=averaged"),
    "twin_lite0_more": ("assessor=twin", "encoder=efficientnet_lite0", "sampling=ams_folders", "callbacks=averaged"),
    "twin_lite0_start": ("encoder=efficientnet_lite0", "callbacks=averaged"),
}


def fault(script, line, loader):
    try:
        check_config(script, compose_run(script, line, loader)[0])
    except (ConfigError, HydraException) as error:
        return str(error)
    return None


@pytest.mark.parametrize("lines", [1, pytest.param(LINES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_choice_goes_with_every_experiment(experiment, lines):
    chosen, tried = f"experiment={experiment}", 0
    with loading() as loader:
        for script in ("train", "train_segmenter", "evaluate"):
            if fault(script, [chosen], loader):
                continue
            for line in command_lines(script, lines):
                wanted = {choice.partition("=")[0]: choice for choice in ONLY.get(experiment, ())}
                line = [wanted.get(each.partition("=")[0], each) for each in line if each != "dataset.root=d"]
                line += ["dataset.root=d"] if "dataset=folder" in line else []
                assert fault(script, [*line, chosen], loader) is None, (script, line)
                tried += 1
    assert tried


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_data_set_goes_with_every_experiment(experiment):
    with loading() as loader:
        for script in ("train", "train_segmenter", "evaluate"):
            if fault(script, [f"experiment={experiment}"], loader):
                continue
            for name in options_by_group(script)["dataset"]:
                line = [f"dataset={name}", *([NEEDED["dataset=folder"]] if name == "folder" else []), f"experiment={experiment}"]
                only = [choice for choice in ONLY.get(experiment, ()) if choice.startswith("dataset=")]
                assert fault(script, line, loader) is None or (only and line[0] not in only), (script, line)


@pytest.mark.parametrize(
    ("script", "line", "words"),
    [
        ("train", ["experiment=benchmark"], ("experiment=benchmark", "train.py", "evaluate.py")),
        ("train", ["experiment=shared_tiles_segmenters"], ("train.py task=segmenter", "train.py task=crossfit")),
        ("train", ["experiment=quick", "dataset=inria"], ("dataset=inria", "experiment=quick", "synthetic")),
    ],
)
def test_what_does_not_go_together_is_said_with_what_does(script, line, words):
    with loading() as loader:
        assert fault(script, line, loader)
        sentence = clash(script, line, loader)
    assert sentence is not None and all(word in sentence for word in words) and "\n" not in sentence


def test_a_typo_beside_an_experiment_is_no_clash():
    with loading() as loader:
        assert clash("train", ["experiment=demo", "sed=3"], loader) is None


def test_small_segmenters_go_with_every_segmenter():
    with loading() as loader:
        for segmenter in sorted(path.stem for path in (CONF / "segmenter").glob("*.yaml")):
            line = [f"segmenter={segmenter}", "experiment=shared_tiles_segmenters"]
            assert fault("train_crossfit", line, loader) is None
