"""How a command ends that cannot go on: one sentence and an exit code; sweeps say the same of their runs."""

import re
import sys
from typing import NoReturn

from hydra.errors import OverrideParseException

from segassess.errors import OutputError, SegAssessError, SomeInputsFailed

EXIT_SOME_FAILED = 1
EXIT_WRONG_REQUEST = 2
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141


def stop(error: Exception) -> NoReturn:
    """Say what is wrong, and exit with the code that belongs to it."""
    print(f"Error: {sentence(error)}", file=sys.stderr)
    sys.exit(EXIT_SOME_FAILED if isinstance(error, SomeInputsFailed | OutputError) else EXIT_WRONG_REQUEST)


def sentence(error: BaseException) -> str:
    """One line; Hydra's and OmegaConf's messages span several, of which the first ones name key and value."""
    if isinstance(error, SegAssessError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "object_type" not in line]
    if lines and (match := re.match(r"Could not override '([^']+)'", lines[0])):
        inner = re.match(r"Key '([^']+)' is not in struct", lines[1]) if len(lines) > 1 else None
        name = match[1] if inner is None or match[1].endswith(inner[1]) else f"{match[1]}.{inner[1]}"
        return f"{name} is not a key of this configuration; see --cfg job for all keys."
    if lines and (match := re.match(r"Error merging override '?([^=]+)=", lines[0])):
        return f"{match[1]} must be another kind of value; docs/configuration.md says which values are allowed."
    if "Config search path:" in lines:
        options = ", ".join(lines[2 : lines.index("Config search path:")])
        return f"{lines[0].rpartition(': ')[2].rstrip('.')}; choose one of {options}."
    if isinstance(error, OverrideParseException) and "=" in error.override:
        typed = _literal(error.override)
        return f"{error.override} cannot be read; where the value is meant as it stands, as a path is, type {typed}."
    if lines and (match := re.match(r"Ambiguous value for argument '(.+)'$", lines[0])):
        key, _, value = match[1].partition("=")
        return (
            f"{match[1]} gives several values; type {key}=[{value}] for a list, {_literal(match[1])} for one value with commas "
            "in it, or add -m for a run of each."
        )
    return f"{'; '.join(lines[:12])} (see --cfg job for all keys)."


def _literal(override: str) -> str:
    """What is typed in a shell so that Hydra takes a value, or each one of a list, as it stands."""
    key, _, value = override.partition("=")
    if value[:1] == "[" and value[-1:] == "]":
        return f'{key}="[{",".join(map(_quoted, value[1:-1].split(",")))}]"'
    return f'{key}="{_quoted(value)}"'


def _quoted(value: str) -> str:
    return "'" + value.strip("'\" ").replace("'", r"\'") + "'"
