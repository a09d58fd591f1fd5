"""Composes configs in this process, as a script does before it starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra

from segassess.options.option import options_of
from segassess.options.scripts import SCRIPTS
from tests.conftest import ROOT

CONF = ROOT / "conf"
REQUIRED = {
    "predict": ["image=a", "mask=b", "output_dir=c"],
    "evaluate_damage": ["image=a", "mask=b", "output_dir=c"],
    "evaluate_scaling": ["image=a", "mask=b", "output_dir=c"],
    "export": ["output_dir=c"],
}
# Keys that a choice needs.
NEEDED = {"dataset=folder": "dataset.root=d", "fit=kept": "fit.folder=f", "engine=dask": "engine.scheduler=tcp://s:1"}
# Losses belong to a task.
LOSSES = {"train": ("compact", "segassess"), "train_segmenter": ("segmentation",), "train_crossfit": ("segmentation",)}


@contextmanager
def loading() -> Iterator[ConfigLoader]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def options_by_group(script: str) -> dict[str, list[str]]:
    """The options of each group that a script has."""
    groups = [name for name in options_of(SCRIPTS[script]) if (CONF / name).is_dir()]
    found = {group: [path.stem for path in sorted((CONF / group).glob("*.yaml"))] for group in groups if group != "paths"}
    if "loss" in found:
        found["loss"] = list(LOSSES[script])
    if script == "evaluate":
        found["fit"].remove("kept")
    if script == "prepare":
        found["dataset"] = ["baqs", "crowdai", "inria", "massachusetts"]
    return found


def command_lines(script: str, count: int | None = None) -> list[list[str]]:
    """Few command lines in which every option of every group occurs."""
    found = options_by_group(script)
    count = count or max(map(len, found.values()), default=1)
    columns = [[f"{group}={option}" for option in islice(cycle(options), count)] for group, options in found.items()]
    lines = [list(line) for line in zip(*columns, strict=True)] or [[]]
    return [[*REQUIRED.get(script, []), *line, *(key for choice, key in NEEDED.items() if choice in line)] for line in lines]
