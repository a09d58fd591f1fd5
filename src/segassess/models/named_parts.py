"""Checks of names and options that all registries of networks share."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from segassess.errors import ConfigError

Choice = TypeVar("Choice")


def choose(key: str, choices: Mapping[str, Choice], name: object) -> Choice:
    """The choice called `name`; raises ConfigError with the config key and all choices if there is none."""
    if not isinstance(name, str) or name not in choices:
        raise ConfigError(f"{key} must be one of {', '.join(choices)}, not {name!r}.")
    return choices[name]


def check_options(kind: str, name: str, allowed: Iterable[str], options: Iterable[str]) -> None:
    """Raise ConfigError for the first option of a specification that `name` does not have."""
    known = list(allowed)
    if unknown := [option for option in options if option not in known]:
        raise ConfigError(f"{kind}.{unknown[0]} is not an option of {name}; it has {', '.join(known) or 'none'}.")
