"""The files in `conf/` as text: each key with its comment and its default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]

# Their files set keys that are defined, and commented, elsewhere.
OVERRIDING_GROUPS = ("experiment", "debug", "hparams_search")


@dataclass(frozen=True)
class Key:
    """A key of a file.

    Attributes:
        name: from the root of a composed config, e.g. "optimizer.factory.lr".
        comment: above it or on its line, in one line; "" if it has none.
        default: as it stands in the file; "" for a group of keys.
        group: whether it is a group of keys.
    """

    name: str
    comment: str
    default: str
    group: bool


@dataclass(frozen=True)
class ConfigFile:
    """A file in `conf/`.

    Attributes:
        group: the group that it is an option of, e.g. "hydra/launcher"; "" for the config of a script.
        option: its name without suffix.
        description: the comment that it begins with, in one line.
        inherits: whether it starts from other files, or belongs to a group that only sets keys of others.
        keys: in the order of the file, without Hydra's own (`defaults`, `_target_`, ...).
    """

    group: str
    option: str
    description: str
    inherits: bool
    keys: Sequence[Key]


def read_configs(configs: Path) -> list[ConfigFile]:
    """All files below a folder of configs, those of scripts first."""
    paths = sorted(configs.rglob("*.yaml"), key=lambda path: (len(path.parts), path.parts))
    return [read_config(path, configs) for path in paths]


def read_config(path: Path, configs: Path) -> ConfigFile:
    """One file.

    Its description is the comment at its head, up to the first line that is none; a blank line parts it from the comment of the
    first key.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    group = path.parent.relative_to(configs).as_posix().removeprefix(".")
    prefix, head = group.replace("/", "."), []
    for line in lines:
        if not line.startswith("#"):
            break
        words = line.lstrip("# ")
        if words.startswith("@package"):
            prefix = words.split()[1].replace("_global_", "")
        else:
            head.append(words)
    root = yaml.compose(text)
    bases: list[str] = []
    keys: list[Key] = []
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "defaults":
                bases = [item.value for item in value.value if isinstance(item, yaml.ScalarNode) and item.value != "_self_"]
        keys = list(_keys(root, prefix, lines, text, next((n for n, line in enumerate(lines) if line[:1] != "#"), 0)))
    return ConfigFile(group, path.stem, " ".join(head), bool(bases) or group in OVERRIDING_GROUPS, keys)


def _keys(node: yaml.MappingNode, prefix: str, lines: Sequence[str], text: str, head: int) -> Iterator[Key]:
    for key, value in node.value:
        if key.value == "defaults" or key.value.startswith("_"):
            continue
        name = f"{prefix}.{key.value}" if prefix else str(key.value)
        comment = _above(lines, key.start_mark.line, head) or _behind(lines, key, value)
        block = isinstance(value, yaml.MappingNode) and not value.flow_style
        written = " ".join(text[value.start_mark.index : value.end_mark.index].split())
        yield Key(name, comment, "" if block else "(text)" if getattr(value, "style", None) == "|" else written, block)
        if block:
            yield from _keys(value, name, lines, text, head)


def _above(lines: Sequence[str], line: int, head: int) -> str:
    """The comment in the lines just above a line, as far as it is not the head of the file."""
    start = line
    while start > head and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(each.strip().lstrip("# ") for each in lines[start:line])


def _behind(lines: Sequence[str], key: yaml.Node, value: yaml.Node) -> str:
    """The comment behind a value, or behind the key of a group."""
    block = isinstance(value, yaml.MappingNode) and not value.flow_style
    mark = key.end_mark if block else value.end_mark
    rest = lines[mark.line][mark.column :].lstrip(": ") if mark.line < len(lines) else ""
    return rest.lstrip("# ") if rest.startswith("#") else ""


def undocumented(files: Sequence[ConfigFile]) -> list[str]:
    """Keys that no comment explains, as "group/option: key".

    A file that starts from others, or an experiment, need not repeat what these say; names below a map are the user's own.
    """
    known = {key.name for file in files for key in file.keys if key.comment}
    maps = tuple(f"{key.name}." for file in files for key in file.keys if key.comment.startswith("map"))
    return [
        f"{'/'.join(filter(None, (file.group, file.option)))}: {key.name}"
        for file in files
        for key in file.keys
        if not key.comment and not key.name.startswith(maps) and not (file.inherits and (key.group or key.name in known))
    ]
