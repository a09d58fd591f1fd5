"""`python -m segassess.cli.config_reference`: write docs/configuration.md from `options/` and `conf/`."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from segassess.cli.app import find_configs
from segassess.cli.composition import OVERRIDING_GROUPS, command
from segassess.files import atomic_path
from segassess.options.option import Option, options_of
from segassess.options.scripts import SCRIPTS

PAGE = Path("docs") / "configuration.md"
_HEAD = """# Configuration

Every group, option and key. `python -m segassess.cli.config_reference` writes this page from `src/segassess/options`, which
defines the meaning and range of each key, and from the files in `conf/`, which define the options of each group.

Choose an option of a group with `group=option`, set a key with `key=value`. A value that is not allowed ends with exit code 2.
`segassess validate SCRIPT key=value ...` checks a command line without doing its work ([command-lines.md](command-lines.md))."""
# With this many different values a table would be unreadable.
_MANY = 4


def reference(configs: Path) -> str:
    """The page as Markdown."""
    parts, groups = [_HEAD, "## Scripts"], dict[str, Option]()
    for name, schema in SCRIPTS.items():
        options = options_of(schema)
        inherited = options_of(schema.__bases__[0]) if schema.__bases__[0] in SCRIPTS.values() else {}
        own = {key: each for key, each in options.items() if key not in inherited or each != inherited[key]}
        of_group = {key: each for key, each in own.items() if (configs / key).is_dir()}
        for key, each in of_group.items():
            groups.setdefault(f"{key} of {command(name)}" if key in groups and each.groups != groups[key].groups else key, each)
        parts += [f"### `conf/{name}.yaml`", _description(configs / f"{name}.yaml")]
        parts.append(_table({key: each for key, each in own.items() if key not in of_group}, {}))
    parts.append("## Groups")
    for folder in sorted({path.parent for path in configs.rglob("*/*.yaml")}):
        group = folder.relative_to(configs).as_posix()
        files = sorted(folder.glob("*.yaml"))
        lines = ["| option | |", "| --- | --- |", *(f"| `{file.stem}` | {_cell(_description(file))} |" for file in files)]
        parts += [f"### `{group}`", "\n".join(lines)]
        if group not in OVERRIDING_GROUPS:
            values = {file.stem: _values(OmegaConf.to_container(OmegaConf.load(file)), f"{group}.") for file in files}
            parts += [_table({group: each}, values) for key, each in groups.items() if key.partition(" ")[0] == group]
    return "\n\n".join(parts) + "\n"


def _description(file: Path) -> str:
    """The comment at the head of a file, in one line."""
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            lines.append(line.lstrip("# "))
    return " ".join(lines)


def _values(node: Any, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, child in node.items():
        if key != "defaults":
            name = f"{prefix}{key}"
            found |= _values(child, f"{name}.") if isinstance(child, dict) and child else {name: child}
    return found


def _table(options: Mapping[str, Option], values: Mapping[str, Mapping[str, Any]]) -> str:
    """Table of keys; equal keys of several groups share a row."""
    rows: dict[tuple[str, str, str], Option] = {}
    for key, each in _keys(options, ""):
        rows.setdefault((key, each.allowed, each.help), each)
    lines = ["| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    for (key, allowed, help_), each in rows.items():
        lines.append(f"| `{key}` | {_default(key, each, values)} | {_cell(allowed)} | {_cell(help_)} |")
    return "\n".join(lines)


def _keys(options: Mapping[str, Option], prefix: str) -> Iterator[tuple[str, Option]]:
    for name, each in options.items():
        if name.startswith("_"):
            continue
        yield f"{prefix}{name}", each
        for schema in each.groups:
            yield from _keys(options_of(schema), f"{prefix}{name}.")
        of_map = each.of_map
        for schema in of_map.groups if of_map is not None else ():
            yield from _keys(options_of(schema), f"{prefix}{name}.NAME.")


def _default(key: str, each: Option, values: Mapping[str, Mapping[str, Any]]) -> str:
    """The default, or the value of each file where files of a group differ."""
    by_value: dict[str, list[str]] = {}
    for option, found in values.items():
        for name in found:
            if name == key or _same(name, key):
                by_value.setdefault(_written(found[name]), []).append(option)
    setting = sum(map(len, by_value.values()))
    if each.default is not MISSING and not each.groups and (not by_value or setting < len(values)):
        by_value.setdefault(_written(each.default), [])
    if len(by_value) >= _MANY:
        return "by option"
    words = [
        f"`{_cell(value)}`" + (f" ({', '.join(options)})" if len(by_value) > 1 and options else "")
        for value, options in by_value.items()
    ]
    return ", ".join(words)


def _same(name: str, key: str) -> bool:
    """Whether `name` is a key of a map with free names, written as NAME in `key`."""
    parts, wanted = name.split("."), key.split(".")
    return "NAME" in wanted and len(parts) == len(wanted) and all(b in ("NAME", a) for a, b in zip(parts, wanted, strict=True))


def _written(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_written, value))}]"
    if value == "":
        return '""'
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """The command line."""
    with atomic_path(PAGE) as temporary:
        temporary.write_text(reference(find_configs(str(Path(__file__).parents[1] / "__init__.py"))), encoding="utf-8")
    print(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
