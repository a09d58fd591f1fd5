"""Checks a config without doing its work: keys, values, interpolations, and all that can be set up before data are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from lightning.fabric.accelerators import ACCELERATOR_REGISTRY
from lightning.pytorch.strategies import StrategyRegistry
from omegaconf import DictConfig, OmegaConf

from segassess.cli import build, build_training
from segassess.cli.app import config_name
from segassess.cli.composition import check_config, clash, compose_run
from segassess.errors import ConfigError
from segassess.experiments.sweep_check import check_sweep
from segassess.files import atomic_path
from segassess.models.assessor.compositions import build_assessor
from segassess.models.baselines import baseline_class
from segassess.models.segmenters.architectures import build_segmenter, resolved_spec


def validate(script: str, overrides: Sequence[str], configs: Path) -> Path:
    """Check all runs of a command line; returns the file with the resolved config of the first.

    A grid is checked in every combination. A search is checked in every combination of its choices, with all intervals at their
    low ends and with all at their high ends. Paths and devices are not checked, so that another machine's runs can be. Raises
    SegAssessError, HydraException or OmegaConfBaseException for the first fault.
    """
    name = config_name(script, configs, overrides)
    first = None
    for run in _runs(name, overrides, configs):
        config = composed(name, run, configs)
        resolved = OmegaConf.to_container(config, resolve=True)
        check_values(config)
        first = first or resolved
    file = Path("outputs") / "validate" / f"{name}.yaml"
    with atomic_path(file) as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(first)), encoding="utf-8")
    return file


def composed(name: str, overrides: Sequence[str], configs: Path) -> DictConfig:
    """Compose the config of one run from overrides of one value each, and check its keys; raises as `check_config` does."""
    with initialize_config_dir(str(configs.resolve()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        try:
            config, hydra_config = compose_run(name, overrides, loader)
            check_config(name, config)
        except (ConfigError, HydraException) as error:
            if words := clash(name, overrides, loader):
                raise ConfigError(words) from error
            raise
        check_sweep(config, hydra_config)
    return config


def _runs(name: str, overrides: Sequence[str], configs: Path) -> Iterator[list[str]]:
    """The overrides of each run of a sweep, or those of the one run."""
    parser = OverridesParser.create()
    given = parser.parse_overrides(list(overrides))
    # Keys that an experiment or a search varies, unless the command line sets them.
    with initialize_config_dir(str(configs.resolve()), version_base="1.3"):
        single = [str(override.input_line) for override in given if not override.is_sweep_override()]
        sweeper = compose(name, single, return_hydra_config=True).hydra.sweeper
    params = parser.parse_overrides([f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()])
    said = {override.key_or_group for override in given}
    varied = [override for override in params if override.key_or_group not in said] + given
    # All intervals at their low ends, then all at their high ends.
    for end in range(2 if any(override.is_interval_sweep() for override in varied) else 1):
        for values in product(*(_values(override, end) for override in varied)):
            yield list(values)


def _values(override: Override, end: int) -> list[str]:
    """`key=value` for each value of a swept key; for an interval, one of its two ends."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={(value.start, value.end)[end]}"]
    return [f"{key}={each}" for each in override.sweep_string_iterator()]


def check_values(config: DictConfig) -> None:
    """Set up all that needs neither data nor a GPU; raises SegAssessError for the first wrong value, naming the key."""
    for key, check in _CHECKS.items():
        if config.get(key) is not None:
            check(config[key])
    if config.get("loss") is not None:
        build_training.segmentation_loss(config.loss) if config.task != "assessor" else build_training.loss(
            config.loss, config.decoding
        )
    assessor, encoder, _ = build.architecture(config)
    if assessor is not None and encoder is not None:
        # Neither allocates nor reads weights.
        without = {"pretrained": False} if "pretrained" in encoder else {}
        with torch.device("meta"):
            build_assessor(assessor, {**encoder, **without})


def _segmenter(node: DictConfig) -> None:
    spec = resolved_spec(build.plain(node))
    with torch.device("meta"):
        build_segmenter({**spec, "pretrained": False})


def _trainer(node: DictConfig) -> None:
    """Set a trainer up for one CPU process; devices may be elsewhere, so only their names are checked."""
    for key, names in (("accelerator", ACCELERATOR_REGISTRY), ("strategy", StrategyRegistry)):
        known = sorted({"auto", *names, *(["gpu"] if key == "accelerator" else [])})
        if isinstance(node[key], str) and node[key] not in known:
            raise ConfigError(f"trainer.{key} must be one of {', '.join(known)}, not {node[key]!r}.")
    here = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true"}
    build_training.trainer(OmegaConf.merge(node, here), callbacks=[], logger=False)  # type: ignore[arg-type]


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "dataset": lambda node: build.tileset(node) if "_target_" in node else None,
    "optimizer": build_training.optimizer,
    "callbacks": build_training.callbacks,
    "logger": build_training.loggers,
    "segmenter": _segmenter,
    "trainer": _trainer,
    "baselines": lambda names: [baseline_class(name) for name in build.as_list(names)],
}
