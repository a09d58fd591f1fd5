"""Tables as files: CSV with a sensible number of digits, and Parquet, with all of them, on request."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError
from segassess.files import atomic_path
from segassess.findings.scores import SCORE_COLUMNS

# Six digits of a northing in metres would be ten metres.
_DIGITS = {"x": 12, "y": 12}


def number(value: float) -> str:
    """Three decimals, or a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, parquet: bool = False) -> None:
    """Write rows as CSV.

    Args:
        path: the .csv file to write.
        columns: in this order.
        rows: values by column; missing values, None and NaN become empty cells.
        parquet: write a .parquet file of the same name as well.

    Raises:
        ConfigError: if Parquet is asked for and pyarrow is not installed.
        RequestError: if the folder cannot be written to.
        ValueError: if a row has another column.
    """
    path, rows = Path(path), list(rows)
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="raise", lineterminator="\n")
        table.writeheader()
        table.writerows({column: table_cell(value, _DIGITS.get(column, 6)) for column, value in row.items()} for row in rows)
    if parquet:
        _write_parquet(path.with_suffix(".parquet"), columns, rows)


def _write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = {column: [_stored(row.get(column)) for row in rows] for column in columns}
    with atomic_path(path) as beside:
        pq.write_table(pa.table(values), beside)


def require_parquet() -> None:
    """Make sure that Parquet can be written.

    Raises:
        ConfigError: if not.
    """
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError("output.parquet=true needs the package pyarrow: pip install 'segassess[parquet]'.") from error


def _stored(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def table_cell(value: Any, digits: int = 6) -> str:
    """A value as the cell of a table: numbers with so many digits, nothing for None and NaN."""
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def write_scores(path: str | Path, rows: Iterable[Mapping[str, object]], *, parquet: bool = False) -> None:
    """Write the table of scores, worst mask first; see `write_table`.

    Sorted by estimated IoU; equal ones (an empty mask always has 0) by error share, largest first; unknown IoU last.

    Args:
        path: the CSV file to write.
        rows: values by column (`SCORE_COLUMNS`).
        parquet: write a .parquet file as well.
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
