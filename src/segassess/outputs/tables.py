"""Tables as files: CSV with a sensible number of digits, and on request Parquet with all of them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError
from segassess.files import atomic_path
from segassess.findings.scores import SCORE_COLUMNS
from segassess.spreadsheets import write_rows

# Six digits of a northing in metres would be ten metres.
_DIGITS = {"x": 12, "y": 12}
# Rows that are in memory as Python objects at once.
_ROWS = 20_000


def number(value: float) -> str:
    """Three decimals, or a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, parquet: bool = False) -> None:
    """Write rows as CSV, and as Parquet beside it on request; missing values, None and NaN become empty cells.

    Raises ConfigError if pyarrow is missing, RequestError if the folder cannot be written to, ValueError if a row has another
    column.
    """
    path = Path(path)
    columnar = _ArrowRows(columns) if parquet else None

    def texts() -> Iterator[dict[str, str]]:
        for row in rows:
            if columnar is not None:
                columnar.add(row)
            yield {column: table_cell(value, _DIGITS.get(column, 6)) for column, value in row.items()}

    write_rows(path, columns, texts())
    if columnar is not None:
        columnar.write(path.with_suffix(".parquet"))


class _ArrowRows:
    """Takes rows one by one, and keeps them as columns of Arrow, which take a tenth of the memory."""

    def __init__(self, columns: Sequence[str]) -> None:
        require_parquet()
        self._columns = columns
        self._rows: list[Mapping[str, Any]] = []
        self._parts: list[Any] = []

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _ROWS:
            self._pack()

    def write(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pack()
        # A column may have no value, or only whole numbers, in some parts.
        table = pa.concat_tables(self._parts, promote_options="permissive").combine_chunks()
        with atomic_path(path) as beside:
            pq.write_table(table, beside)

    def _pack(self) -> None:
        import pyarrow as pa

        self._parts.append(pa.table({name: [without_nan(row.get(name)) for row in self._rows] for name in self._columns}))
        self._rows.clear()


def require_parquet(wanted_by: str = "output.formats=[gpkg,parquet]") -> None:
    """Raise ConfigError if pyarrow is missing, which `wanted_by` needs."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"{wanted_by} needs the package pyarrow: pip install 'segassess[parquet]'.") from error


def without_nan(value: Any) -> Any:
    """The value, None instead of NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def table_cell(value: Any, digits: int = 6) -> str:
    """A value as text, numbers with so many significant digits; empty for None and NaN."""
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def write_scores(path: str | Path, rows: Iterable[Mapping[str, object]], *, parquet: bool = False) -> None:
    """Write the table of scores (`SCORE_COLUMNS`), worst mask first; see `write_table`.

    Sorted by estimated IoU; equal ones (an empty mask always has 0) by error share, largest first; unknown IoU last.
    """
    write_table(path, SCORE_COLUMNS, sorted(rows, key=_badness), parquet=parquet)


def _badness(row: Mapping[str, object]) -> tuple[float, float, str, str]:
    iou, share = _number(row.get("estimated_iou")), _number(row.get("error_share"))
    return (
        math.inf if math.isnan(iou) else iou,
        math.inf if math.isnan(share) else -share,
        str(row.get("name", "")),
        str(row.get("source", "")),
    )


def _number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)
