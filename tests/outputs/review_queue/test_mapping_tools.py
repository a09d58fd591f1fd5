"""Findings as tasks of mapping tools, checked by the rules that the tools publish, and what comes back."""

import csv
import json
from xml.etree import ElementTree

import geopandas
import pytest
import shapely

from segassess.cli import mend as mend_tool
from segassess.cli import queue as queue_tool
from segassess.cli import verdicts as verdicts_tool
from segassess.errors import InputError, RequestError
from tests.outputs.test_mending import (
    box,
    judged,  # noqa: F401  # a fixture
    write,
)

TOOLS = queue_tool.OF_FINDINGS


def queued(predicted, folder, tool, source="perturbed", *keys):
    queue_tool.main([f"input={predicted}", f"to={tool}", f"output={folder / tool}", "min_area=0", f"source={source}", *keys])
    return folder / tool


def table(folder):
    with (folder / "findings.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def check_features(features, rows):
    assert [each["id"] for each in features] == [row["id"] for row in rows]
    for each in features:
        assert each["type"] == "Feature" and each["properties"]["id"] == each["id"]
        outline = shapely.from_geojson(json.dumps(each["geometry"]))
        assert outline.is_valid and outline.geom_type in ("Polygon", "MultiPolygon")
        # The scene lies at 33 degrees east, 6 degrees south.
        assert shapely.box(32.9, -6.5, 33.1, -6.2).contains(outline)
        assert all(part.exterior.is_ccw for part in shapely.get_parts([outline]))


def test_maproulette_reads_a_task_a_line(predicted, tmp_path):
    folder = queued(predicted, tmp_path, "maproulette")
    lines = (folder / "tasks.geojson").read_text().split("\n")
    assert lines.pop() == "" and all(line.startswith("\x1e{") for line in lines)
    collections = [json.loads(line[1:]) for line in lines]
    assert all(set(each) == {"type", "features"} and len(each["features"]) == 1 for each in collections)
    rows = table(folder)
    assert len(rows) == len(lines) > 3 and len({row["id"] for row in rows}) == len(rows)
    check_features([each["features"][0] for each in collections], rows)
    assert "{{kind}}" in (folder / "instructions.md").read_text()
    wrong = [float(row["wrong_px"]) for row in rows]
    assert wrong == sorted(wrong, reverse=True)


def test_mapswipe_reads_one_collection_of_polygons(predicted, tmp_path):
    folder = queued(predicted, tmp_path, "mapswipe", "perturbed", "most=5")
    content = json.loads((folder / "tasks.geojson").read_text())
    assert set(content) == {"type", "features"} and len(content["features"]) == 5
    check_features(content["features"], table(folder))
    assert {row["source"] for row in table(folder)} == {"perturbed"}


def test_josm_reads_closed_ways_that_are_never_uploaded(predicted, tmp_path):
    root = ElementTree.parse(queued(predicted, tmp_path, "josm") / "tasks.osm").getroot()
    assert root.get("version") == "0.6" and root.get("upload") == "never"
    nodes, ways = ({each.get("id"): each for each in root.iter(name)} for name in ("node", "way"))
    tagged = [each for each in [*ways.values(), *root.iter("relation")] if list(each.iter("tag"))]
    assert {row["id"] for row in table(tmp_path / "josm")} <= {tag.get("v") for each in tagged for tag in each.iter("tag")}
    assert all("fixme" in {tag.get("k") for tag in each.iter("tag")} for each in tagged)
    for way in ways.values():
        corners = [nd.get("ref") for nd in way.iter("nd")]
        assert corners[0] == corners[-1] and set(corners) <= set(nodes)
    assert all(member.get("ref") in ways for member in root.iter("member"))


def test_osmose_reads_an_issue_per_finding(predicted, tmp_path):
    root = ElementTree.parse(queued(predicted, tmp_path, "osmose") / "tasks.xml").getroot()
    ((analyser),) = root
    classes, errors = list(analyser.iter("class")), list(analyser.iter("error"))
    assert len(errors) == len(table(tmp_path / "osmose")) and {each.get("class") for each in errors} <= {
        each.get("id") for each in classes
    }
    for error in errors:
        place = error.find("location")
        assert -6.5 < float(place.get("lat")) < -6.2 and 32.9 < float(place.get("lon")) < 33.1
        assert 0 <= int(error.get("subclass")) < 2**31


@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_findings_are_the_same_files_and_ids(predicted, tmp_path, tool):
    first, second = (queued(predicted, tmp_path / each, tool) for each in ("a", "b"))
    assert [path.name for path in sorted(first.iterdir())] == [path.name for path in sorted(second.iterdir())]
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_features_keep_their_ids_and_kinds_and_hostile_names_are_harmless(judged, tmp_path):  # noqa: F811
    write(
        judged / "scene" / "objects.gpkg",
        [box(10, 10), box(50, 50)],
        object=[1, 7],
        verdict=["right", "missed"],
        mean_error=[0.1, 0.8],
        expected_errors_px=[10.0, 80.0],
        area_m2=[25.0, 25.0],
    )
    polygons = geopandas.read_file(judged / "scene" / "polygons.gpkg", layer="polygons")
    polygons["expected_fp_px"], polygons["area_m2"] = [90.0, 50.0, 60.0, 1.0], 25.0
    polygons.to_file(judged / "scene" / "polygons.gpkg", layer="polygons")
    bad = '=HYPERLINK("http://x")<script>"&'
    (judged / "scores.csv").write_text(f'name,source\nscene,"{bad.replace(chr(34), chr(34) * 2)}"\n')
    for tool in TOOLS:
        queued(judged, tmp_path, tool, bad)
    rows = table(tmp_path / "csv")
    assert [(row["kind"], row["feature"], row["object"]) for row in rows] == [
        ("invented", "2", ""),
        ("missed", "", "7"),
        ("invented", "4", ""),
        ("shifted", "3", ""),
    ]
    assert {row["source"] for row in rows} == {"'" + bad}
    content = json.loads((tmp_path / "mapswipe" / "tasks.geojson").read_text())
    assert content["features"][0]["properties"]["mask"] == bad
    ElementTree.parse(tmp_path / "josm" / "tasks.osm")
    # What reviewers say of them decides what is mended.
    said = {"2": "2", "4": "Fixed", "3": "6"}
    lines = [f"{row['id']},{said.get(row['feature'], 'Already_Fixed')}" for row in rows]
    (tmp_path / "tasks.csv").write_text("\n".join(["TaskName,TaskStatus", *lines]))
    verdicts_tool.main([f"queue={tmp_path / 'csv'}", f"answers={tmp_path / 'tasks.csv'}"])
    (judged / "scores.csv").write_text("name,source\nscene,layer\n")
    mend_tool.main([f"input={judged}", f"decisions={tmp_path / 'csv' / 'verdicts.csv'}", "drop=1", "add=1", "move=false"])
    changes = geopandas.read_file(judged / "mended" / "changes.gpkg", layer="changes")
    assert changes["segassess_change"].tolist() == ["dropped", "added"] and changes["segassess_feature"].tolist()[0] == 4


def test_answers_are_not_overwritten_and_a_source_is_named(predicted, tmp_path):
    folder = queued(predicted, tmp_path, "csv")
    rows = table(folder)
    (folder / "findings.csv").write_text((folder / "findings.csv").read_text().replace(",\n", ",yes\n", 1))
    assert table(folder)[0]["accept"] == "yes"
    with pytest.raises(RequestError, match="would be lost"):
        queued(predicted, tmp_path, "csv")
    assert len(table(folder)) == len(rows)
    with pytest.raises(RequestError, match="source=NAME"):
        queue_tool.main([f"input={predicted}", "to=csv", f"output={tmp_path / 'other'}"])


def test_nothing_to_look_at_is_an_empty_queue(predicted, tmp_path, capsys):
    for tool in TOOLS:
        folder = queued(predicted, tmp_path, tool, "perturbed", "min_area=1e9")
        assert table(folder) == [] and "0 findings" in capsys.readouterr().out


def test_verdicts_come_from_lists_layers_and_tables(predicted, tmp_path):
    folder = queued(predicted, tmp_path, "csv")
    first, second, third, *_ = (row["id"] for row in table(folder))
    (tmp_path / "api.json").write_text(json.dumps([{"name": first, "status": 1}, {"name": second, "status": 2}]))
    places = shapely.points([[39, -6], [39, -6]])
    geopandas.GeoDataFrame({"id": [third, second], "accept": ["no", None]}, geometry=places).to_file(tmp_path / "edited.gpkg")
    verdicts_tool.main([f"queue={folder}", f"answers={tmp_path / 'api.json'},{tmp_path / 'edited.gpkg'}"])
    with (folder / "verdicts.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert {each: row["accept"] for each, row in rows.items()} == {first: "yes", second: "no", third: "no"}
    assert rows[first]["said"] == "1" and rows[third]["file"] == "edited.gpkg"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("id,accept\nnone,yes\n", RequestError, "no finding 'none'"),
        ("id,accept\nFIRST,perhaps\n", RequestError, "'perhaps' is no verdict"),
        ("id,accept\nFIRST,yes\nFIRST,no\n", RequestError, "another verdict"),
        ("id,colour\nFIRST,red\n", RequestError, "accept or verdict"),
        ('{"a": 1}', RequestError, "list of tasks"),
        ("{", InputError, "cannot be read as JSON"),
    ],
)
def test_wrong_verdicts_are_one_sentence(predicted, tmp_path, text, error, words):
    folder = queued(predicted, tmp_path, "csv")
    path = tmp_path / ("said.json" if text.startswith("{") else "said.csv")
    path.write_text(text.replace("FIRST", table(folder)[0]["id"]))
    with pytest.raises(error, match=words):
        verdicts_tool.main([f"queue={folder}", f"answers={path}"])
    assert not (folder / "verdicts.csv").exists()
