"""Gives Hydra the defaults in `options/`, checks composed configs, and says which choices go together."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segassess.errors import ConfigError
from segassess.options.checking import choices_of, faults, paths, renamed
from segassess.options.option import defaults, options_of
from segassess.options.scripts import GROUPS, SCRIPTS

# Their files override keys of other groups.
OVERRIDING_GROUPS = ("experiment", "debug", "hparams_search")

# Plain values, because OmegaConf would convert typed ones (2 to true) and refuse the rest in several lines.
for _name, _schema in (SCRIPTS | GROUPS).items():
    if _name not in SCRIPTS or _schema is SCRIPTS[_name]:
        ConfigStore.instance().store(name=f"options_{_name}", node=defaults(_schema))


def check_config(name: str, config: DictConfig) -> None:
    """Check every key and value of the config of `conf/<name>.yaml`, without Hydra's own part.

    Raises ConfigError for the first fault, naming the key, OmegaConfBaseException if an interpolation leads nowhere.
    """
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise ConfigError(f"{missing[0]} is not set; give {missing[0]}=VALUE (see docs/configuration.md).")
    values: Any = OmegaConf.to_container(config, resolve=True)
    found = list(faults(values, SCRIPTS[name]))
    if found:
        # Name the key that is wrong, not one that takes its value from it.
        origins = [sentence for key, sentence in found if not _taken_over(config, key)]
        raise ConfigError((origins or [sentence for _, sentence in found])[0])


def _taken_over(config: DictConfig, key: str) -> bool:
    """Whether a key takes its value from another one."""
    above, _, name = key.rpartition(".")
    node = OmegaConf.select(config, above) if above else config
    return isinstance(node, DictConfig) and name in node and OmegaConf.is_interpolation(node, name)


def clash(name: str, overrides: Sequence[str], loader: ConfigLoader) -> str | None:
    """Name the choices of a refused command line that do not go together; None if that is not the reason.

    Tries every choice of an experiment, which takes a second or two.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    chosen = {each.key_or_group: each for each in parsed if isinstance(each.value(), str) and _is_group(each, loader)}
    experiment = chosen.pop("experiment", None)
    if experiment is None or experiment.value() not in loader.get_group_options("experiment"):
        return None
    given = [str(each.input_line) for each in parsed if not _is_group(each, loader) and each.key_or_group != "task"]
    needed = [line for line in given if _composes(name, [line, *(str(each.input_line) for each in chosen.values())], loader)]
    alone = f"experiment={experiment.value()}"
    if not _composes(name, [alone, *needed], loader):
        scripts = [other for other in SCRIPTS if _composes(other, [alone], loader)]
        if name in scripts or not scripts:
            return None
        return f"{alone} does not go with {command(name)}; it goes with {', '.join(map(command, scripts))}."
    for group, each in chosen.items():
        if _composes(name, [alone, *needed, str(each.input_line)], loader):
            continue
        others = loader.get_group_options(group)
        fits = [other for other in others if _composes(name, [alone, *needed, f"{group}={other}"], loader)]
        if fits and each.value() in others:
            return f"{group}={each.value()} does not go with {alone}; choose one of {', '.join(fits)}."
    return None


def unknown_key(name: str, key: str) -> str | None:
    """What to say of a key that a config lacks: which choice has it, or which key is meant; None if that is unknown."""
    if words := renamed(key):
        return words
    known = list(dict.fromkeys(paths(SCRIPTS[name])))
    group, _, rest = key.partition(".")
    if key in known:
        kinds = [kind for kind in options_of(SCRIPTS[name])[group].groups if rest in paths(kind)]
        choices = [f"{group}={choice}" for kind in kinds for choice in choices_of(kind)]
        return f"{key} is a key of {' and '.join(choices)} only; choose it, too." if choices else None
    near = get_close_matches(key, known, n=1, cutoff=0.8)
    return f"{key} is not a key of this configuration; did you mean {near[0]}?" if near else None


def command(name: str) -> str:
    """The beginning of a script's command line."""
    script, _, task = name.partition("_")
    return f"{script}.py task={task}" if task else f"{script}.py"


def _is_group(override: Override, loader: ConfigLoader) -> bool:
    return bool(loader.get_group_options(override.key_or_group))


def _composes(name: str, overrides: Sequence[str], loader: ConfigLoader) -> bool:
    """Whether overrides compose and are allowed, ignoring keys that must still be set."""
    before = HydraConfig.instance().cfg
    try:
        config, _ = compose_run(name, overrides, loader)
        for key in OmegaConf.missing_keys(config):
            OmegaConf.update(config, key, "unset")
        check_config(name, config)
    except (ConfigError, HydraException, OmegaConfBaseException):
        return False
    finally:
        HydraConfig.instance().cfg = before
    return True


def compose_run(name: str, overrides: Sequence[str], loader: ConfigLoader) -> tuple[DictConfig, DictConfig]:
    """Compose one run as Hydra does; returns its config and Hydra's own."""
    in_run = ("hydra.runtime.output_dir=outputs", "hydra.job.num=0")
    config = loader.load_configuration(name, [*overrides, *in_run], run_mode=RunMode.RUN)
    HydraConfig.instance().set_config(config)
    OmegaConf.set_struct(config, False)
    hydra = config.pop("hydra")
    OmegaConf.set_struct(config, True)
    return config, hydra
