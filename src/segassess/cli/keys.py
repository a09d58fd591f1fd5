"""`key=value` arguments of the tools, which Hydra does not compose."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segassess.errors import ConfigError


@dataclass(frozen=True)
class Key:
    """A key: its default, and for what is not any text what is allowed, how it is read, and a test.

    `needed` says what to give where a key without a default is missing.
    """

    default: Any = None
    allowed: str = ""
    read: Callable[[str], Any] = str
    holds: Callable[[Any], bool] = bool
    needed: str = ""


# The folder that most tools read.
PREDICTED = Key(needed="give the output_dir of segassess predict as input=DIR")


def choice(values: Collection[str], default: str) -> Key:
    """A key with one of these values."""
    return Key(default, " or ".join(values), str, lambda value: value in values)


def whole(default: int | None, low: int, high: float = math.inf) -> Key:
    """A whole number from `low` to `high`."""
    allowed = f"a whole number of {low} or more" if high == math.inf else f"a whole number from {low} to {high:,}"
    return Key(default, allowed, int, lambda value: low <= value <= high)


def real(default: float | None, low: float, high: float = math.inf) -> Key:
    """A number from `low` to `high`, neither infinite nor NaN."""
    allowed = f"a number of {low:g} or more" if high == math.inf else f"a number from {low:g} to {high:g}"
    return Key(default, allowed, float, lambda value: low <= value <= high and value < math.inf)


def read_keys(tool: str, keys: Mapping[str, Key], arguments: Sequence[str]) -> dict[str, Any]:
    """Values of all keys. Raises ConfigError for an unknown or missing key, or a value that is not allowed."""
    values: dict[str, Any] = {name: key.default for name, key in keys.items()}
    for argument in arguments:
        name, given, value = argument.partition("=")
        if not given or name not in keys:
            raise ConfigError(f"{argument} is not an argument of {tool}; give key=value with one of the keys {', '.join(keys)}.")
        if not value:
            raise ConfigError(f"{name}= has no value; leave the key out for its default.")
        key = keys[name]
        try:
            values[name] = key.read(value)
        except ValueError:
            values[name] = math.nan  # lies in no range
        if not key.holds(values[name]):
            raise ConfigError(f"{name} must be {key.allowed}, not {value!r}.")
    for name, key in keys.items():
        if key.needed and values[name] is None:
            raise ConfigError(f"{name} is missing; {key.needed}.")
    return values
