"""Refuses keys that no config file knows, so that a typo in YAML fails like one on the command line.

Hydra checks overrides on the command line against the composed config, but merges an experiment file silently. Here the
run's config is compared with the one that its group choices alone compose; the YAML files stay the only schema.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from segassess.errors import ConfigError

# Groups whose files override other groups' keys instead of defining their own.
OVERRIDING_GROUPS = ("experiment", "debug", "hparams_search")


def check_keys(config: DictConfig, hydra_config: Any, loader: ConfigLoader) -> None:
    """Compare a composed config with what its groups define.

    Args:
        config: the run's config.
        hydra_config: Hydra's own, for the choices made.
        loader: Hydra's config loader.

    Raises:
        ConfigError: if a required key is not set, a key is unknown, or a value has another type than its default; names the
            key and a near match.
    """
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise ConfigError(f"{missing[0]} is not set; give {missing[0]}=VALUE (conf/ says what it means).")
    choices = hydra_config.runtime.choices
    overrides = [
        f"{group}={choice}"
        for group, choice in choices.items()
        if choice is not None and not group.startswith("hydra") and group not in OVERRIDING_GROUPS
    ]
    known = loader.load_configuration(hydra_config.job.config_name, overrides, run_mode=RunMode.RUN)
    _compare(
        OmegaConf.to_container(config, resolve=False),
        {key: value for key, value in OmegaConf.to_container(known, resolve=False).items() if key != "hydra"},  # type: ignore[union-attr]
        "",
    )


def _compare(given: Any, known: Any, prefix: str) -> None:
    for key, value in given.items():
        name = f"{prefix}{key}"
        if key not in known:
            # A new node that says what it is (a further callback, a logger) is checked by its own constructor.
            if isinstance(value, dict) and "_target_" in value:
                continue
            raise ConfigError(f"{name} is not a key of this configuration{_suggestion(key, known, prefix)}.")
        default = known[key]
        if isinstance(value, dict) and isinstance(default, dict):
            other_target = value.get("_target_") != default.get("_target_")
            if not other_target and default:
                _compare(value, default, f"{name}.")
        elif not _compatible(value, default):
            raise ConfigError(f"{name} must be {_kind(default)}, not {value!r}.")


def _compatible(value: Any, default: Any) -> bool:
    if default is None or value is None or _interpolated(value) or _interpolated(default):
        return True
    if isinstance(default, bool):
        # Some of Lightning's switches also take a number or a word (fast_dev_run: 3, deterministic: warn).
        return isinstance(value, bool | int) or value == "warn"
    if isinstance(default, int | float):
        # Numbers of Lightning's trainer may be words or lists as well (devices: auto, limit_val_batches: 0.5).
        return isinstance(value, int | float | list) or value == "auto"
    if isinstance(default, dict) or isinstance(value, dict):
        return isinstance(default, dict) and isinstance(value, dict)
    return True


def _interpolated(value: Any) -> bool:
    return isinstance(value, str) and ("${" in value or value == "???")


def _kind(default: Any) -> str:
    if isinstance(default, dict):
        return "a group of keys"
    return "true or false" if isinstance(default, bool) else "a number"


def _suggestion(key: str, known: dict[str, Any], prefix: str) -> str:
    near = (
        get_close_matches(str(key), [str(name) for name in known], n=1)
        or [path for path in _paths(known, prefix) if path.endswith(f".{key}")][:1]
    )
    if near:
        return f"; did you mean {near[0] if '.' in near[0] else prefix + near[0]}?"
    return f"; here {', '.join(map(str, known)) or 'nothing'} may be set"


def _paths(node: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
