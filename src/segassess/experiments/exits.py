"""How a failed command ends: one sentence and an exit code, for runs of sweeps too."""

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
    """Print the error and exit with its code."""
    print(f"Error: {sentence(error)}", file=sys.stderr)
    sys.exit(EXIT_SOME_FAILED if isinstance(error, SomeInputsFailed | OutputError) else EXIT_WRONG_REQUEST)


def sentence(error: BaseException) -> str:
    """One line for any error; the first lines of Hydra's and OmegaConf's messages name key and value."""
    if isinstance(error, SegAssessError):
        return str(error)
    if key := refused_key(error):
        return f"{key} is not a key of this configuration; --cfg job lists all keys."
    lines = _lines(error)
    if lines and (match := re.match(r"Error merging override '?([^=]+)=", lines[0])):
        return f"{match[1]} has a value of the wrong type; see docs/configuration.md for the allowed values."
    if "Config search path:" in lines:
        options = ", ".join(lines[2 : lines.index("Config search path:")])
        return f"{lines[0].rpartition(': ')[2].rstrip('.')}; choose one of {options}."
    if isinstance(error, OverrideParseException) and "=" in error.override:
        typed = _literal(error.override)
        return f"{error.override} cannot be parsed; to pass the value literally, such as a path, type {typed}."
    if lines and (match := re.match(r"Ambiguous value for argument '(.+)'$", lines[0])):
        key, _, value = match[1].partition("=")
        several = "give a folder, a glob or a CSV" if key == "image" else f"type {key}=[{value}] for a list"
        return (
            f"{match[1]} has several values; {several}, {_literal(match[1])} for one value that contains commas, or add -m for "
            "one run per value."
        )
    return f"{'; '.join(lines[:12])} (--cfg job lists all keys)."


def refused_key(error: BaseException) -> str | None:
    """The key that Hydra did not find; None for another error."""
    lines = _lines(error)
    if not lines or not (match := re.match(r"Could not override '([^']+)'", lines[0])):
        return None
    inner = re.match(r"Key '([^']+)' is not in struct", lines[1]) if len(lines) > 1 else None
    return match[1] if inner is None or match[1].endswith(inner[1]) else f"{match[1]}.{inner[1]}"


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip() and "object_type" not in line]


def _literal(override: str) -> str:
    """The override as typed in a shell so that Hydra takes a value, or each item of a list, literally."""
    key, _, value = override.partition("=")
    if value[:1] == "[" and value[-1:] == "]":
        return f'{key}="[{",".join(map(_quoted, value[1:-1].split(",")))}]"'
    return f'{key}="{_quoted(value)}"'


def _quoted(value: str) -> str:
    return "'" + value.strip("'\" ").replace("'", r"\'") + "'"
