"""Lists of images and masks as rows: CSV, Parquet, and collections of STAC items."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from segassess.errors import InputError, RequestError
from segassess.raster.urls import fetched, is_url
from segassess.spreadsheets import read_rows

# Suffixes of the files.
LISTS = frozenset({"csv", "parquet", "json", "geojson"})
_COLUMNS = ("image", "mask")
# Names of the assets of a STAC item, the first that it has.
_IMAGE_ASSETS = ("image", "visual")
_MASK_ASSETS = ("mask", "labels")


def rows_of_list(file: Path, path: str) -> list[tuple[int, dict[str, str]]]:
    """Row numbers and cells (`image`, `mask`, and as far as given `name` and `source`) of the list `file`, known as `path`.

    A row of a JSON is a STAC item, of a feature collection or linked by a collection: its assets `image` or `visual`, and `mask`
    or `labels`. Raises RequestError if the file cannot be read or lacks a column.
    """
    suffix = file.suffix.lower()
    if suffix == ".csv":
        return read_rows(file, _COLUMNS)
    if suffix == ".parquet":
        return _rows_of_parquet(file, path)
    return [(number, _row_of_item(item, base)) for number, (item, base) in enumerate(_items(file, path), 1)]


def _rows_of_parquet(file: Path, path: str) -> list[tuple[int, dict[str, str]]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise RequestError(f"{path} needs the package pyarrow: pip install 'segassess[parquet]'.") from error
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise RequestError(f"{path} cannot be read as Parquet ({error}); save it again, or as a CSV.") from error
    names = {name.strip().lower(): name for name in table.column_names}
    if not set(_COLUMNS) <= names.keys():
        raise RequestError(f"{path} has the columns {', '.join(names) or 'none'}; it needs {', '.join(_COLUMNS)}.")
    wanted = {column: table[name].to_pylist() for column, name in names.items() if column in (*_COLUMNS, "name", "source")}
    rows = zip(*wanted.values(), strict=True)
    return [
        (number, {column: "" if cell is None else str(cell).strip() for column, cell in zip(wanted, row, strict=True)})
        for number, row in enumerate(rows, 1)
    ]


def _items(file: Path, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Items of a STAC document, each with the path that its links are relative to."""
    content = _read_json(file, path)
    if content.get("type") == "FeatureCollection":
        for item in content.get("features", ()):
            own = [link["href"] for link in item.get("links", ()) if link.get("rel") == "self" and is_url(link.get("href", ""))]
            yield item, (own or [path])[0]
    elif content.get("type") == "Collection" and "stac_version" in content:
        for link in content.get("links", ()):
            if link.get("rel") == "item":
                place = _joined(path, link["href"])
                try:
                    yield _read_json(fetched(place) if is_url(place) else Path(place), place), place
                except InputError as error:
                    raise RequestError(f"An item of {path} is not there: {error}") from error
    else:
        raise RequestError(f"{path} is no collection of STAC items; give one, an image, or a CSV of pairs.")


def _row_of_item(item: dict[str, Any], base: str) -> dict[str, str]:
    row = {"name": str(item.get("id", ""))}
    for column, names in (("image", _IMAGE_ASSETS), ("mask", _MASK_ASSETS)):
        asset = next((item["assets"][name] for name in names if name in item.get("assets", {})), None)
        row[column] = "" if asset is None else _joined(base, asset["href"])
    return row


def _joined(base: str, href: str) -> str:
    """An address that is given relative to the file `base`."""
    if is_url(href):
        return href
    if is_url(base):
        # urljoin knows no s3.
        scheme, _, rest = base.partition("://")
        return scheme + urljoin(f"http://{rest}", href).removeprefix("http")
    return str(Path(base).absolute().parent / href)


def _read_json(file: Path, path: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read as JSON ({error}); give a collection of STAC items.") from error
    return content if isinstance(content, dict) else {}
