"""The one check of values, for configs and for the settings of Python users."""

import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, get_args, get_origin

from segassess.errors import ConfigError
from segassess.options.option import Option, listed, option, options_of

_SHOWN = 60


@dataclass(frozen=True)
class Settings:
    """Base of settings that Python users make; a wrong value is a ConfigError in a config's words.

    `KEY` is the place of the settings in a config.
    """

    KEY: ClassVar[str]

    def __post_init__(self) -> None:
        for name, each in options_of(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            if not each.allows(value):
                raise ConfigError(refusal(f"{self.KEY}.{name}", each.allowed, value))
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if fault := self.fault():
            raise ConfigError(fault)

    def fault(self) -> str | None:
        """One sentence on values that are allowed one by one but not together, or None."""
        return None


@dataclass(frozen=True)
class Target:
    """A node that becomes the object `_target_`, whose signature defines the other keys."""

    _target_: str = option("The class or function, as module.Name.")


def refusal(name: str, allowed: str, value: Any) -> str:
    """The sentence that refuses a value."""
    shown = "null" if value is None else repr(value).lower() if isinstance(value, bool) else repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}... ({len(shown)} characters)"
    return f"{name} must be {allowed}, not {shown}."


def faults(node: Mapping[str, Any], schema: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Faults of a group of plain values: the key from the root of the config, and one sentence.

    `prefix` comes before the names of its keys and ends with a dot.
    """
    found = list(_each_fault(node, schema, prefix))
    if not found and issubclass(schema, Settings) and set(options_of(schema)) <= set(node):  # type: ignore[arg-type]
        try:
            schema(**node)
        except ConfigError as error:
            found = [(prefix.rstrip("."), str(error))]
    yield from found


def _each_fault(node: Mapping[str, Any], schema: type, prefix: str) -> Iterator[tuple[str, str]]:
    options = options_of(schema)
    for name, each in options.items():
        if name not in node and each.default is not MISSING:
            yield f"{prefix}{name}", f"{prefix}{name} must be {each.allowed}; it cannot be removed."
    for key, value in node.items():
        if key in options:
            yield from _value_faults(value, options[key], f"{prefix}{key}")
        elif not _taken_by_target(str(key), node, schema):
            yield f"{prefix}{key}", _unknown(str(key), [*options], prefix, schema)


def _value_faults(value: Any, wanted: Option, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and wanted.groups:
        yield from _group_faults(value, wanted.groups, name)
    elif isinstance(value, Mapping) and (each := wanted.of_map) is not None:
        for key, child in value.items():
            if isinstance(child, Mapping) and each.groups and _chosen(child, each.groups) is None and "_target_" not in child:
                others = [str(other) for other in value if other != key]
                yield f"{name}.{key}", _unknown(str(key), others, f"{name}.")
            else:
                yield from _value_faults(child, each, f"{name}.{key}")
    elif not wanted.allows(value):
        yield name, refusal(name, wanted.allowed, value)


def _group_faults(value: Mapping[str, Any], groups: Sequence[type], name: str) -> Iterator[tuple[str, str]]:
    schema = _chosen(value, groups)
    if schema is not None:
        yield from faults(value, schema, f"{name}.")
        return
    key = _discriminator(groups[0])
    words = [options_of(each)[str(key)].allowed for each in groups]
    yield f"{name}.{key}", refusal(f"{name}.{key}", listed(words), value.get(str(key)))


def _chosen(value: Mapping[str, Any], groups: Sequence[type]) -> type | None:
    """The first dataclass that fits the `_target_` or name of a group."""
    for each in groups:
        key = _discriminator(each)
        if key is None or options_of(each)[key].allows(value.get(key)):
            return each
    return None


def choices_of(schema: type) -> tuple[str, ...]:
    """The names of the choices of a group that a dataclass describes, if it names them."""
    return get_args(options_of(schema)["name"].kind) if _discriminator(schema) == "name" else ()


def _discriminator(schema: type) -> str | None:
    options = options_of(schema)
    if "_target_" in options:
        return "_target_"
    return "name" if "name" in options and get_origin(options["name"].kind) is Literal else None


def _taken_by_target(key: str, node: Mapping[str, Any], schema: type) -> bool:
    """Whether the target takes a key that is not an option here; imports it only to answer that.

    If its signature does not tell, a key that looks like a typo is refused.
    """
    target = node.get("_target_")
    if not isinstance(target, str):
        return False
    if key in ("_convert_", "_recursive_", "_partial_", "_args_"):
        return True
    typo = bool(get_close_matches(key, [*options_of(schema)], n=1))
    try:
        parameters = inspect.signature(pkgutil.resolve_name(target)).parameters
    except (ImportError, AttributeError, ValueError, TypeError):
        return not typo
    any_key = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return key in parameters or (any_key and not typo)


# Keys of earlier versions, and what to give instead.
_RENAMED = {"output.geojson": "output.formats=[gpkg,geojson]", "output.parquet": "output.formats=[gpkg,parquet]"}


def renamed(key: str) -> str | None:
    """What to say of a key of earlier versions; None of any other."""
    return f"{key} is {_RENAMED[key]} now." if key in _RENAMED else None


def _unknown(key: str, known: Sequence[str], prefix: str, schema: type | None = None) -> str:
    """The sentence that refuses a key, with its new name, a near match or the known keys."""
    if words := renamed(f"{prefix}{key}"):
        return words
    near = [f"{prefix}{match}" for match in get_close_matches(key, known, n=1)]
    near += [path for path in (paths(schema, prefix) if schema else ()) if path.endswith(f".{key}")]
    if near:
        return f"{prefix}{key} is not a key of this configuration; did you mean {near[0]}?"
    there = ", ".join(each for each in known if not each.startswith("_"))
    return f"{prefix}{key} is not a key of this configuration; here {there or 'nothing'} may be set."


def paths(schema: type, prefix: str = "") -> Iterator[str]:
    """All keys of a dataclass of options and of its groups, from the root of a config."""
    for name, each in options_of(schema).items():
        yield f"{prefix}{name}"
        for kind in each.groups:
            yield from paths(kind, f"{prefix}{name}.")
