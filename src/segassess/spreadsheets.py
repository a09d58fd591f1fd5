"""CSV files, read as spreadsheets save them: a byte order mark, semicolons or tabs, capitals and blanks in the header."""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segassess.errors import RequestError
from segassess.files import atomic_path


def read_rows(path: Path, needed: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and cells of a CSV, by column in lower case; a cell is stripped, and "" where the row ends before it.

    Raises:
        RequestError: if the file cannot be read as text, or lacks a needed column.
    """
    if not path.is_file():
        raise RequestError(f"{path} does not exist; give the path of a CSV.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read as text in UTF-8 ({error}); save it as a CSV in UTF-8.") from error
    # A spreadsheet's way to name the delimiter, and what may stand before the header.
    first = next((index for index, line in enumerate(lines) if line.strip() and not line.lower().startswith("sep=")), 0)
    header = "".join(lines[first : first + 1])
    table = csv.DictReader(lines[first:], delimiter=max(",;\t", key=header.count), skipinitialspace=True)
    columns = {name: name.strip().lower() for name in table.fieldnames or () if name}
    if not set(needed) <= set(columns.values()):
        found = ", ".join(columns.values()) or "none"
        raise RequestError(f"{path} has the columns {found}; it needs {', '.join(needed)}.")
    return [(first + table.line_num, {column: (row[name] or "").strip() for name, column in columns.items()}) for row in table]


def harmless(text: str) -> str:
    """A text of somebody else that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV atomically; a cell that a row lacks is empty. Raises ValueError if a row has another column."""
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
