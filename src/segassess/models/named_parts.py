"""What every registry of networks by name asks of a specification, and says where it does not get it."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from segassess.errors import ConfigError

Choice = TypeVar("Choice")


def choose(key: str, choices: Mapping[str, Choice], name: object) -> Choice:
    """The choice called `name`.

    Raises:
        ConfigError: if there is none; it names the config key and the choices.
    """
    if not isinstance(name, str) or name not in choices:
        raise ConfigError(f"{key} must be one of {', '.join(choices)}, not {name!r}.")
    return choices[name]


def check_options(kind: str, name: str, allowed: Iterable[str], options: Iterable[str]) -> None:
    """See that `name` has all the options that a specification sets.

    Raises:
        ConfigError: for the first that it does not have; it names the config key and what is allowed.
    """
    known = list(allowed)
    if unknown := [option for option in options if option not in known]:
        raise ConfigError(f"{kind}.{unknown[0]} is not an option of {name}; it has {', '.join(known) or 'none'}.")
