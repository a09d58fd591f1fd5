"""Joining runs, on sweep folders that are made up here."""

import csv
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from segassess.errors import ConfigError, RequestError
from segassess.experiments.joined_sweeps import join_runs
from segassess.experiments.runs import read_runs

FIVE = ["deeplabv3plus", "hrnet", "transunet", "unetformer", "ocrnet"]
SEEN = FIVE[:4]


def scores(value):
    return {"fp_fn_miou": value, "fp_iou": value, "fn_iou": value}


def write_run(folder, overrides, values, *, dataset="inria", unseen=("ocrnet", "raw"), regions=None, train_regions=None):
    """A run's folder as evaluate.py leaves it; without values it stopped half-way."""
    hydra = folder / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "overrides.yaml").write_text("".join(f"- {line}\n" for line in overrides))
    (hydra / "config.yaml").write_text("held_out: ${dataset.held_out}\ndataset:\n  held_out: [ocrnet, raw]\n")
    (hydra / "hydra.yaml").write_text(f"hydra:\n  runtime:\n    choices:\n      dataset: {dataset}\n")
    if values is None:
        return
    assessor = {**{source: scores(value) for source, value in values.items()}, "all": scores(0.5)}
    baseline = {source: scores(0.0) for source in assessor}
    about = {
        "unseen": [source for source in values if source in unseen],
        "split": ["valid", "test"],
        "decoding": "consistent",
        "training": {"dataset": {"train_regions": train_regions}},
    }
    by_region = {region: {"all": scores(value)} for region, value in (regions or {"here": 0.5}).items()}
    content = {
        "about": about,
        "results": {"compact": assessor, "always_right": baseline},
        "regions": {"compact": by_region, "always_right": {region: {"all": scores(0.0)} for region in by_region}},
    }
    (folder / "metrics.json").write_text(json.dumps(content))


def tables(folder):
    """Rows of each table of joined.md by its title: lists of cells."""
    sections = re.split(r"^## ", (folder / "joined.md").read_text(), flags=re.M)[1:]
    found = {}
    for section in sections:
        title, *lines = section.splitlines()
        found[title] = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    return found


def long(folder):
    return list(csv.DictReader((folder / "joined.csv").open()))


def test_a_matrix_has_every_cell_and_says_what_is_missing(tmp_path, capsys):
    values = dict(zip(FIVE, (0.5, 0.6, 0.7, 0.8, 0.4), strict=True))
    write_run(tmp_path / "inria", ["dataset=inria"], values)
    write_run(tmp_path / "gid", ["dataset=gid"], {"hrnet": 0.3, "ocrnet": None}, dataset="gid")
    write_run(tmp_path / "baqs", ["dataset=baqs"], None, dataset="baqs")
    (tmp_path / "baqs" / "missing.json").write_text('{"reason": "No images found; download BAQS."}')
    write_run(tmp_path / "waqs", ["dataset=waqs"], {"raw": 0.9}, dataset="waqs")
    (tmp_path / "waqs" / "failed.json").write_text('{"reason": "Out of memory.", "wrong_request": false}')
    expected = {"inria": FIVE, "gid": FIVE, "crowdai": FIVE, "baqs": [*FIVE, "raw"], "waqs": [*FIVE, "raw"]}
    join_runs(tmp_path, layout="matrix", expected=expected)
    found = tables(tmp_path)
    assert list(found) == ["FP/FN mIoU of compact", "FP/FN mIoU of always_right"]
    header, _, *body = found["FP/FN mIoU of compact"]
    assert header == ["data set", *SEEN, "", "ocrnet (zero-shot)", "raw (zero-shot)"]
    rows = {row[0]: row[1:] for row in body}
    assert rows["inria"] == ["0.500", "0.600", "0.700", "0.800", "", "0.400", ""]
    assert rows["gid"] == ["-", "0.300", "-", "-", "", "-", ""]
    assert rows["crowdai"] == ["-"] * 4 + ["", "-", ""]
    assert rows["baqs"] == rows["waqs"] == ["-"] * 4 + ["", "-", "-"]
    text = (tmp_path / "joined.md").read_text()
    for line in (
        "Split valid + test, consistent decoding.",
        "No result of gid: there are no masks of transunet.",
        "No result of crowdai: not run.",
        "No result of baqs: No images found; download BAQS.",
        "No result of waqs: Out of memory.",
    ):
        assert text.count(line) == 1, line
    printed = capsys.readouterr().out
    assert "FP/FN mIoU of always_right" in printed and "No result of crowdai: not run." in printed
    cells = [row for row in long(tmp_path) if row["region"] == "all" and row["source"] != "all" and row["baseline"] != "True"]
    assert len({(row["row"], row["source"]) for row in cells}) == len(cells) == 5 * 3 + 6 * 2
    assert {row["source"] for row in cells if row["zero_shot"] == "True"} == {"ocrnet", "raw"}
    assert sum(bool(row["missing"]) for row in cells) == 3 + 5 + 6 + 6


def test_joining_again_changes_nothing_but_what_changed(tmp_path):
    write_run(tmp_path / "0", ["seed=1"], {"hrnet": 0.5})
    write_run(tmp_path / "1", ["seed=2"], None)
    join_runs(tmp_path, layout="comparison")
    first = {path.name: path.read_bytes() for path in tmp_path.glob("joined.*")}
    join_runs(tmp_path, layout="comparison")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("joined.*")} == first
    assert "No result of 2: not finished." in (tmp_path / "joined.md").read_text()
    write_run(tmp_path / "2", ["seed=3"], {"hrnet": 0.7})
    join_runs(tmp_path, layout="comparison")
    assert [row[0:2] for row in tables(tmp_path)["FP/FN mIoU of compact"][2:]] == [["1", "0.500"], ["2", "-"], ["3", "0.700"]]


def test_transfer_between_regions_marks_its_own_and_is_drawn(tmp_path):
    for number, region in enumerate(["south", "north"]):
        measured = {"east": 0.2, "north": 0.3 + number, "south": 0.4}
        write_run(
            tmp_path / str(number), [f"dataset.train_regions=[{region}]"], {"s": 0.1}, regions=measured, train_regions=[region]
        )
    join_runs(tmp_path, layout="transfer", columns="regions")
    assert tables(tmp_path)["FP/FN mIoU of compact"] == [
        ["trained on", "south", "north", "east"],
        ["---", "---:", "---:", "---:"],
        ["south", "**0.400**", "0.300", "0.200"],
        ["north", "0.400", "**1.300**", "0.200"],
    ]
    with Image.open(tmp_path / "joined.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    assert {row["region"] for row in long(tmp_path)} == {"all", "east", "north", "south"}


def test_transfer_between_sources_marks_the_diagonal(tmp_path):
    for number, source in enumerate(["hrnet", "unetformer"]):
        unseen = {"hrnet", "unetformer", "raw"} - {source}
        values = {"hrnet": 0.5, "raw": 0.2, "unetformer": 0.4}
        write_run(tmp_path / str(number), [f"sampling.sources=[{source}]"], values, unseen=unseen)
    write_run(tmp_path / "2", ["sampling.sources=[transunet]"], None)
    join_runs(tmp_path, layout="transfer")
    assert tables(tmp_path)["FP/FN mIoU of compact"][2:] == [
        ["hrnet", "**0.500**", "0.400", "", "0.200"],
        ["unetformer", "0.500", "**0.400**", "", "0.200"],
        ["transunet", "-", "-", "", "-"],
    ]
    assert (tmp_path / "joined.png").is_file()


def test_a_comparison_names_its_rows_and_ends_in_means(tmp_path):
    values = {"a": 0.2, "b": 0.4, "ocrnet": 0.1, "raw": 0.3}
    write_run(tmp_path / "0", ["sampling.sources=[a,b]", "seed=3"], values)
    write_run(tmp_path / "1", ["sampling.sources=[a]", "seed=3"], values, unseen=("b", "ocrnet", "raw"))
    join_runs(tmp_path, layout="comparison", labels={"[a,b]": "AMS"})
    assert tables(tmp_path)["FP/FN mIoU of compact"] == [
        ["run", "a", "b", "mean", "", "ocrnet (zero-shot)", "raw (zero-shot)", "zero-shot mean"],
        ["---", *["---:"] * 7],
        ["AMS", "0.200", "0.400", "0.300", "", "0.100", "0.300", "0.200"],
        ["a", "0.200", "0.400", "0.300", "", "0.100", "0.300", "0.200"],
    ]
    assert [row["zero_shot"] for row in long(tmp_path) if row["source"] == "b" and row["method"] == "compact"] == [
        "False",
        "True",
    ]


def test_runs_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1):
        write_run(tmp_path / str(number), [f"seed={number}"], {"s": math.nan})
    assert [run.name for run in read_runs(tmp_path)] == ["1", "9", "10"]


def test_wrong_settings_are_named(tmp_path):
    with pytest.raises(RequestError, match="no runs to join"):
        join_runs(tmp_path, layout="matrix")
    write_run(tmp_path / "0", ["seed=1"], {"s": 0.5})
    for change in ({"layout": "circle"}, {"columns": "rows"}, {"metric": "miou"}):
        with pytest.raises(
            ConfigError, match=rf"join\.{next(iter(change))} must be one of .*, not '{next(iter(change.values()))}'"
        ):
            join_runs(tmp_path, **{"layout": "matrix", **change})
