import pytest

from segassess.outputs import tables
from segassess.outputs.tables import write_table

ROWS = [
    {"object": 1, "verdict": "wrong", "iou": float("nan")},
    {"object": 2, "verdict": "missed", "iou": None},
    {"object": 3, "verdict": "right", "iou": 0.123456789},
    {"object": 4, "verdict": "right", "iou": 1},
    {"object": 5, "verdict": "right"},
]


@pytest.mark.parametrize("rows", [2, 20_000], ids=["parts", "whole"])
def test_csv_and_parquet_of_rows_that_come_once(rows, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "_ROWS", rows)
    write_table(tmp_path / "a.csv", ("object", "verdict", "iou"), iter(ROWS), parquet=True)
    assert (tmp_path / "a.csv").read_text().split() == [
        "object,verdict,iou", "1,wrong,", "2,missed,", "3,right,0.123457", "4,right,1", "5,right,",
    ]  # fmt: skip
    found = parquet.read_table(tmp_path / "a.parquet")
    assert found.to_pydict()["iou"] == [None, None, 0.123456789, 1.0, None] and found.column("object").to_pylist() == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert [str(each) for each in found.schema.types] == ["int64", "string", "double"]


def test_a_table_without_rows(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "a.csv", ("object", "iou"), [], parquet=True)
    assert (tmp_path / "a.csv").read_text() == "object,iou\n" and parquet.read_table(tmp_path / "a.parquet").num_rows == 0
