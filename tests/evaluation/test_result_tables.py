import csv
import json
import math
from io import StringIO

from rich.console import Console

from segassess.evaluation.result_tables import COLUMNS, comparison_table, region_table, write_results

SCORES = {"fp_fn_miou": 0.25, "fp_iou": math.nan}


def test_regions_are_written_and_shown(tmp_path):
    regions = {"compact": {"north": {"s": SCORES, "all": SCORES}, "south": {"all": {"fp_fn_miou": math.nan}}}}
    write_results(tmp_path, {"compact": {"all": SCORES}}, regions, {"compact": [{"region": "north", "fp_iou": math.nan}]}, {})
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["regions"]["compact"]["north"]["s"] == {"fp_fn_miou": 0.25, "fp_iou": None}
    assert list(csv.reader((tmp_path / "metrics.csv").open())) == [
        ["method", "source", "fp_fn_miou", "fp_iou"],
        ["compact", "all", "0.25", ""],
    ]
    assert list(csv.DictReader((tmp_path / "tiles.csv").open())) == [{"method": "compact", "region": "north", "fp_iou": ""}]
    console = Console(width=80, file=StringIO())
    console.print(region_table(regions, "By region"))
    words = console.file.getvalue().split()
    assert ["north", "south", "0.250", "-"] == [word for word in words if word in ("north", "south", "0.250", "-")]


def test_cells_are_empty_where_a_method_has_no_result():
    scores = {"mask_iou": 0.625, **dict.fromkeys(COLUMNS, 0.25)}
    better = {**scores, "fp_fn_miou": 0.375}
    console = Console(width=160, file=StringIO())
    console.print(comparison_table({"one": {"s": scores}, "two": {"s": better, "raw": better, "all": better}}, "Some"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.file.getvalue().splitlines() if "│" in line]
    same, nothing = ["0.250"] * (len(COLUMNS) - 1), [""] * len(COLUMNS)
    assert rows == [
        ["s", "0.625", "one", "0.250", *same],
        ["", "", "two", "0.375", *same],
        ["raw", "0.625", "one", *nothing],
        ["", "", "two", "0.375", *same],
        ["all", "0.625", "one", *nothing],
        ["", "", "two", "0.375", *same],
    ]
    regions = {"one": {"north": {"s": scores}}, "two": {"north": {"all": better}, "south": {"all": better}}}
    console = Console(width=80, file=StringIO())
    console.print(region_table(regions, "By region"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.file.getvalue().splitlines() if "│" in line]
    assert rows == [["one", "", ""], ["two", "0.375", "0.375"]]
