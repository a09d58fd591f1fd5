"""Verdicts that come back from Label Studio and FiftyOne, in the structure that their documentation shows, and from JOSM."""

import copy
import csv
import json
import shutil
from xml.etree import ElementTree

import pytest
import shapely

from segassess.cli import queue as queue_tool
from segassess.cli import verdicts as verdicts_tool
from segassess.cli.mend import read_decisions
from segassess.errors import InputError, RequestError
from segassess.outputs.judged_folder import judged_folders
from segassess.outputs.review_queue.findings import make_findings
from segassess.outputs.review_queue.tasks import Regions
from tests.outputs.review_queue.test_mapping_tools import queued, table

# Texts that a spreadsheet or a page must not act on.
HOSTILE = '=HYPERLINK("x")<script>alert(1)</script>\u202e\U0001f3e0 שלום'


def label_studio(predicted, folder):
    queue_tool.main([f"input={predicted}", f"output={folder / 'tiles'}"])
    return folder / "tiles", json.loads((folder / "tiles" / "tasks.json").read_text())


def annotated(task, kept=lambda error: True, choice=None, **about):
    """A task as Label Studio exports it: ids of regions stay, some are deleted, one is drawn."""
    task, number = copy.deepcopy(task), about.pop("task", 1)
    regions = [region for region in task["predictions"][0]["result"] if kept(int(region["id"][1:].split("p")[0]))]
    drawn = {"id": "Dx_aB91ISN", "type": "polygonlabels", "origin": "manual", "value": {"polygonlabels": ["FN"], "points": []}}
    verdict = {"id": "aB3", "type": "choices", "from_name": "verdict", "to_name": "image", "value": {"choices": [choice]}}
    result = [*regions, drawn, *([verdict] if choice else [])]
    annotation = {"id": 1, "completed_by": 1, "result": result, "was_cancelled": False, "ground_truth": False, **about}
    return {"id": number, "data": task["data"], "annotations": [annotation], "predictions": [], "meta": {"note": HOSTILE}}


def export(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False))
    return path


def verdicts(queue, *paths, predicted):
    verdicts_tool.main([f"queue={queue}", f"answers={','.join(map(str, paths))}", f"input={predicted}"])
    with (queue / "verdicts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def errors_of(rows):
    return {(row["source"], int(row["id"].split()[1])): row["accept"] for row in rows if row["id"].startswith("error ")}


def numbers(task):
    return {int(region["id"][1:].split("p")[0]) for region in task["predictions"][0]["result"]}


def test_regions_that_stay_are_errors_and_deleted_ones_are_none(predicted, tmp_path):
    queue, tasks = label_studio(predicted, tmp_path)
    # Of the first tile odd ones stay, the second is right, the third cannot be told, the fourth was skipped.
    back = [
        annotated(tasks[0], lambda error: error % 2, "mask was mended"),
        annotated(tasks[1], choice="mask is right"),
        annotated(tasks[2], choice="cannot be told"),
        annotated(tasks[3], was_cancelled=True),
    ]
    rows = verdicts(queue, export(tmp_path / f"{HOSTILE[:12]}.json", back), predicted=predicted)
    said, keys = errors_of(rows), [task["data"]["source"] for task in tasks]
    first = {(keys[0], error): "yes" if error % 2 else "no" for error in numbers(tasks[0])}
    second = {(keys[1], error): "no" for error in numbers(tasks[1])}
    # An error that reaches into another tile is right if it is in one of them.
    expected = {**second, **{each: accept for each, accept in first.items() if accept == "yes" or each not in second}}
    assert {each: said[each] for each in expected} == expected and {"yes", "no"} == set(expected.values())
    third = {(keys[2], error) for error in numbers(tasks[2])} - expected.keys()
    assert third and {said[each] for each in third} == {""}
    assert said.keys() == expected.keys() | third
    # Nothing is taken for a formula.
    assert all(row["file"].startswith("'=") for row in rows)


def test_verdicts_on_errors_are_verdicts_on_the_findings_they_cover(predicted, tmp_path):
    queue, tasks = label_studio(predicted, tmp_path)
    rows = verdicts(queue, export(tmp_path / "all.json", [annotated(task) for task in tasks]), predicted=predicted)
    known = {each.id: each for each in make_findings(judged_folders(predicted), need_place=False)}
    of_findings = [row for row in rows if not row["id"].startswith("error ")]
    assert of_findings and {row["accept"] for row in of_findings} == {"yes"}
    regions = {mask.source: Regions.read(mask.folder) for mask in judged_folders(predicted)}
    for row in of_findings:
        finding = known[row["id"]]
        assert (row["kind"], row["object"]) == (finding.kind, str(finding.object)) and finding.kind in ("invented", "missed")
        alike = [at for at, each in enumerate(regions[row["source"]].columns["quality"]) if each == finding.quality]
        covered = shapely.union_all(regions[row["source"]].outlines[alike]).intersection(finding.outline_px)
        assert covered.area >= 0.5 * finding.outline_px.area
    none = verdicts(
        queue, export(tmp_path / "none.json", [annotated(task, lambda error: False) for task in tasks]), predicted=predicted
    )
    assert {row["id"]: row["accept"] for row in none} == {row["id"]: "no" for row in rows}
    # Mending takes the table, and passes over areas of errors.
    decided = read_decisions(queue / "verdicts.csv")
    assert set(decided["object"]) == {int(row["object"]) for row in of_findings}


def test_tags_in_fiftyone_are_verdicts(predicted, tmp_path):
    queue = tmp_path / "fiftyone"
    queue_tool.main([f"input={predicted}", f"output={queue}", "to=fiftyone"])
    content = json.loads((queue / "samples.json").read_text())
    first, second = content["samples"][:2]
    lines = first["errors"]["polylines"]
    wanted = {}
    for number, line in enumerate(lines):
        line["_id"] = {"$oid": f"{number:024x}"}
        line["tags"] = [HOSTILE, "right" if line["error"] % 2 else "Wrong"]
        wanted[first["source"], line["error"]] = "yes" if line["error"] % 2 else "no"
    second["tags"] = ["unsure", "batch 1"]
    export(tmp_path / "samples.json", content)
    for answers in (tmp_path / "samples.json", tmp_path):
        said = errors_of(verdicts(queue, answers, predicted=predicted))
        assert {each: said[each] for each in wanted} == wanted and "" in said.values()
        assert len(said) == len(wanted) + len(
            {(second["source"], line["error"]) for line in second["errors"]["polylines"]} - wanted.keys()
        )


def test_wrong_exports_are_one_sentence_and_lose_nothing(predicted, tmp_path):
    queue, tasks = label_studio(predicted, tmp_path)
    other = annotated(tasks[0])
    other["data"] = {**other["data"], "name": HOSTILE}
    contradiction = [annotated(tasks[0]), annotated(tasks[0], lambda error: False)]
    for content, error, words in (
        ([{"image": "a.png", "errors": []}], RequestError, "not JSON-MIN"),
        ({"samples": []}, RequestError, "no export of Label Studio"),
        ([{"annotations": [], "data": None}], RequestError, "without name, source and tile"),
        ([other], RequestError, "has no tile"),
        ([annotated(tasks[0], choice="=1+1")], RequestError, "is no verdict"),
        (contradiction, RequestError, "another verdict before"),
    ):
        with pytest.raises(error, match=words):
            verdicts(queue, export(tmp_path / "said.json", content), predicted=predicted)
    (tmp_path / "said.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        verdicts(queue, tmp_path / "said.json", predicted=predicted)
    with pytest.raises(RequestError, match="does not exist"):
        verdicts(queue, tmp_path / "none.json", predicted=predicted)
    with pytest.raises(RequestError, match=r"no run\.json"):
        verdicts(queue, export(tmp_path / "said.json", [annotated(tasks[0])]), predicted=tmp_path)
    assert not (queue / "verdicts.csv").exists()


def test_a_tag_in_josm_is_a_verdict(predicted, tmp_path):
    queue = queued(predicted, tmp_path, "josm")
    first, second, *_ = (row["id"] for row in table(queue))
    tree = ElementTree.parse(queue / "tasks.osm")
    for element in tree.getroot():
        tags = {tag.get("k"): tag.get("v") for tag in element.iter("tag")}
        accept = {first: "yes", second: "no"}.get(tags.get("segassess:id"))
        if accept:
            # JOSM marks what was changed.
            element.set("action", "modify")
            ElementTree.SubElement(element, "tag", k="accept", v=accept)
            ElementTree.SubElement(element, "tag", k="note", v=HOSTILE)
    tree.write(tmp_path / "edited.osm", encoding="utf-8")
    rows = verdicts(queue, tmp_path / "edited.osm", predicted=predicted)
    assert {row["id"]: row["accept"] for row in rows} == {first: "yes", second: "no"}
    (tmp_path / "edited.osm").write_text("<osm>")
    with pytest.raises(InputError, match="cannot be read as OSM XML"):
        verdicts(queue, tmp_path / "edited.osm", predicted=predicted)


@pytest.mark.parametrize("tool", ["label_studio", "fiftyone"])
def test_a_queue_of_other_results_is_refused(predicted, tmp_path, tool):
    again = shutil.copytree(predicted, tmp_path / "again")
    queue = tmp_path / "tiles"
    queue_tool.main([f"input={predicted}", f"output={queue}", f"to={tool}"])
    empty = export(tmp_path / "export.json", [] if tool == "label_studio" else {"samples": []})
    assert verdicts(queue, empty, predicted=again) == []
    (tiles,) = again.glob("image/perturbed/tiles.csv")
    rows = list(csv.DictReader(tiles.open(newline="")))
    rows[0]["error_area_px"] = str(float(rows[0]["error_area_px"]) + 1)
    with tiles.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for other in (again, tmp_path):
        with pytest.raises(RequestError, match=r"was made from other results|no run\.json"):
            verdicts(queue, empty, predicted=other)
