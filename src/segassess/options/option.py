"""An option: a field of a dataclass with a type, a default, limits and a help text; `checking` uses them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from itertools import pairwise
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

# Hydra's word for a value that a user must give.
REQUIRED = "???"
_LONGEST_PATH, _LONGEST_NAME = 4096, 255


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Allowed values of an option, for each number, text or list within it.

    `lengths` are those of a list (empty: any), whose numbers rise if `ascending`. A text is a `path` (or URL), or has at most
    `longest` characters.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    multiple: int | None = None
    lengths: tuple[int, ...] = ()
    ascending: bool = False
    path: bool = False
    longest: int = _LONGEST_NAME
    empty: bool = False

    def allow_number(self, value: Any) -> bool:
        """Whether a number is allowed."""
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.multiple is None or value % self.multiple == 0)
        )

    def allow_text(self, value: str) -> bool:
        """Whether a text is allowed."""
        if not value.strip():
            return self.empty
        if not self.path:
            return len(value) <= self.longest
        names = [] if "://" in value else value.split("/")
        return len(value) <= _LONGEST_PATH and "\0" not in value and all(len(name.encode()) <= _LONGEST_NAME for name in names)

    def allow_list(self, value: Sequence[Any]) -> bool:
        """Whether a list of allowed elements is allowed."""
        rises = not self.ascending or all(first < second for first, second in pairwise(value))
        return rises and (not self.lengths or len(value) in self.lengths)

    def in_words(self) -> str:
        """The allowed numbers, to follow their noun; "" for all."""
        words = []
        if self.low is not None and self.high is not None:
            words.append(f" from {_number(self.low)} to {_number(self.high)}")
        elif self.low is not None:
            words.append(
                f" of {_number(self.low)} or more"
                if self.below is None
                else f" from {_number(self.low)} to below {_number(self.below)}"
            )
        elif self.above is not None:
            words.append(f" above {_number(self.above)}" + ("" if self.below is None else f" and below {_number(self.below)}"))
        if self.multiple is not None:
            words.append(f", a multiple of {self.multiple}")
        return "".join(words)


# An integer is a number of things, a fraction a share of them.
Share = Annotated[float, Limits(low=0, high=1)]


@dataclass(frozen=True)
class Option:
    """An option of a group; `kind` is its annotation, and `default` is MISSING if each file of a config group sets it."""

    name: str
    kind: Any
    limits: Limits
    help: str
    default: Any

    @property
    def groups(self) -> tuple[type, ...]:
        """Dataclasses whose keys the value may have; empty for a plain value."""
        return tuple(each for each in _members(self.kind) if isinstance(each, type) and is_dataclass(each))

    @property
    def of_map(self) -> "Option | None":
        """The option of each value of a map with free names; None for other values."""
        maps = [get_args(each)[1] for each in _members(self.kind) if get_origin(each) is Mapping]
        return Option(self.name, maps[0], self.limits, self.help, MISSING) if maps else None

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        words = [word for each in _members(self.kind) for word in _words(each, self.limits)]
        return listed(list(dict.fromkeys(words)))

    def allows(self, value: Any) -> bool:
        """Whether a value other than a group of keys is allowed."""
        return _allows(self.kind, value, self.limits)


def option(help: str, default: Any = MISSING, **limits: Any) -> Any:
    """A field of a dataclass of options; `limits` are those of `Limits`.

    The default is REQUIRED if users must set it, and left out if each file of a config group does.
    """
    return field(default=default, metadata={"help": help, "limits": Limits(**limits)})


def group(schema: type, help: str) -> Any:
    """A field for a group of options that all have defaults."""
    return field(default_factory=schema, metadata={"help": help, "limits": Limits()})


@cache
def options_of(schema: type) -> Mapping[str, Option]:
    """The options of a dataclass, by name."""
    kinds = get_type_hints(schema, include_extras=True)
    result = {}
    for each in fields(schema):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        result[each.name] = Option(each.name, kinds[each.name], each.metadata["limits"], each.metadata["help"], default)
    return result


def defaults(schema: type) -> dict[str, Any]:
    """Defaults as in a config; groups of keys are dictionaries."""
    values = {name: each.default for name, each in options_of(schema).items() if each.default is not MISSING}
    return {
        name: defaults(type(value)) if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def listed(words: Sequence[str]) -> str:
    """Alternatives in a sentence: a, b or c."""
    last = ", or " if any(" or " in word for word in words) else " or "
    return last.join(filter(None, (", ".join(words[:-1]), words[-1])))


def _number(value: float) -> str:
    return str(int(value) if value == int(value) else value)


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _allows(kind: Any, value: Any, limits: Limits) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _allows(inner[0], value, inner[1])
    if origin in (Union, UnionType):
        return any(_allows(each, value, limits) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        each_allowed = len(kinds) == len(value) and all(map(lambda each, item: _allows(each, item, limits), kinds, value))
        return each_allowed and limits.allow_list(value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_allows(inner[1], item, limits) for item in value.values())
    if kind is bool or kind is NoneType:
        return isinstance(value, kind)
    if kind is str:
        return isinstance(value, str) and limits.allow_text(value)
    numbers: dict[Any, Any] = {int: Integral, float: Real}
    number = numbers.get(kind)
    return number is not None and isinstance(value, number) and not isinstance(value, bool) and limits.allow_number(value)


def _words(kind: Any, limits: Limits) -> list[str]:
    """The alternatives of a type in words, null last."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _words(inner[0], inner[1])
    if origin is Literal:
        return [str(each).lower() if isinstance(each, bool) else str(each) for each in inner]
    if origin is tuple:
        kinds = inner[:1] if inner[-1] is ... else inner
        count = "" if inner[-1] is ... else f"{len(inner)} "
        if limits.lengths:
            count = f"{listed(list(map(str, limits.lengths)))} "
        return [f"a list of {count}{_plural(kinds[0], limits)}" + (", the smaller one first" if limits.ascending else "")]
    if origin is Mapping:
        return [f"a map of names to {_plural(inner[1], limits)}"]
    if is_dataclass(kind):
        return ["a group of keys"]
    plain = {bool: "true or false", NoneType: "null", str: "a path" if limits.path else "a text"}
    plain |= {int: f"a whole number{limits.in_words()}", float: f"a number{limits.in_words()}"}
    return [plain[kind]]


def _plural(kind: Any, limits: Limits) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _plural(inner[0], inner[1])
    if origin is Literal:
        return listed(list(map(str, inner)))
    if origin is tuple:
        return f"lists of {_plural(inner[0], limits)}"
    if origin in (Union, UnionType):
        return listed(list(dict.fromkeys(_plural(each, limits) for each in inner if each is not NoneType)))
    if is_dataclass(kind):
        return "groups of keys"
    plural = {bool: "true or false", str: "paths" if limits.path else "texts"}
    plural |= {int: f"whole numbers{limits.in_words()}", float: f"numbers{limits.in_words()}"}
    return plural[kind]
