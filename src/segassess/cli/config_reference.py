"""`python -m segassess.cli.config_reference`: write docs/configuration.md from the files in `conf/`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from segassess.cli.app import find_configs
from segassess.cli.config_files import ConfigFile, Key, read_configs
from segassess.files import atomic_path

PAGE = Path("docs") / "configuration.md"
_HEAD = """# Configuration

Every group, option and key, as the files in `conf/` say it. `python -m segassess.cli.config_reference` writes this page
from those files; a test keeps both the same.

Choose an option of a group with `group=option`, set a key with `key=value`. `segassess validate SCRIPT key=value ...`
checks a command line without doing its work ([command-lines.md](command-lines.md)). Where options differ in a default, the table
names them. Groups whose files only set keys of others (`experiment`, `debug`, `hparams_search`) list the keys of their own."""
# From this number of different defaults on, a table would not be readable.
_MANY = 4


def reference(configs: Path) -> str:
    """The page.

    Args:
        configs: folder of the configs.
    """
    files = read_configs(configs)
    known = {key.name for file in files for key in file.keys if file.group in ("", "hydra") or not file.inherits}
    parts = [_HEAD, "## Scripts"]
    for file in files:
        if not file.group:
            parts += [f"### `conf/{file.option}.yaml`", file.description, *_key_table([file])]
    groups: dict[str, list[ConfigFile]] = {}
    for file in files:
        if file.group:
            groups.setdefault(file.group, []).append(file)
    parts.append("## Groups")
    for group, options in groups.items():
        lines = ["| option | |", "| --- | --- |", *(f"| `{file.option}` | {_cell(file.description)} |" for file in options)]
        parts += [f"### `{group}`", "\n".join(lines), *_key_table(options, known)]
    return "\n\n".join(parts) + "\n"


def _key_table(files: Sequence[ConfigFile], known: set[str] | None = None) -> Iterator[str]:
    """The commented keys of the options of a group, those of several options with the same meaning in one row."""
    rows: dict[tuple[str, str], dict[str, Key]] = {}
    all_options = {file.option for file in files if not file.inherits}
    for file in files:
        for key in file.keys:
            elsewhere = file.inherits and known is not None and key.name in known
            if key.comment and not elsewhere:
                rows.setdefault((key.name, key.comment), {})[file.option] = key
    if not rows:
        return
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    for (name, comment), by_option in rows.items():
        only = "" if len(files) == 1 or (all_options and all_options <= set(by_option)) else f" ({', '.join(by_option)})"
        lines.append(f"| `{name}` | {_default(by_option)} | {_cell(comment)}{only} |")
    yield "\n".join(lines)


def _default(by_option: dict[str, Key]) -> str:
    values: dict[str, list[str]] = {}
    for option, key in by_option.items():
        values.setdefault(key.default, []).append(option)
    if len(values) == 1:
        value = next(iter(values))
        return f"`{_cell(value)}`" if value else ""
    if len(values) >= _MANY:
        return "by option"
    return ", ".join(f"`{_cell(value)}` ({', '.join(options)})" for value, options in values.items())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """The command line."""
    with atomic_path(PAGE) as temporary:
        temporary.write_text(reference(find_configs(str(Path(__file__).parents[1] / "__init__.py"))), encoding="utf-8")
    print(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
