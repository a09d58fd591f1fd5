"""Tables as files: CSV with a sensible number of digits, and on request Parquet with all of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError
from segassess.files import atomic_path
from segassess.findings.scores import SCORE_COLUMNS
from segassess.spreadsheets import write_rows

# Six digits of a northing in metres would be ten metres.
_DIGITS = {"x": 12, "y": 12}


def number(value: float) -> str:
    """Three decimals, or a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, parquet: bool = False) -> None:
    """Write rows as CSV, and as Parquet beside it on request; missing values, None and NaN become empty cells.

    Raises ConfigError if pyarrow is missing, RequestError if the folder cannot be written to, ValueError if a row has another
    column.
    """
    path, rows = Path(path), list(rows)
    texts = ({column: table_cell(value, _DIGITS.get(column, 6)) for column, value in row.items()} for row in rows)
    write_rows(path, columns, texts)
    if parquet:
        _write_parquet(path.with_suffix(".parquet"), columns, rows)


def _write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = {column: [without_nan(row.get(column)) for row in rows] for column in columns}
    with atomic_path(path) as beside:
        pq.write_table(pa.table(values), beside)


def require_parquet(wanted_by: str = "output.parquet=true") -> None:
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
