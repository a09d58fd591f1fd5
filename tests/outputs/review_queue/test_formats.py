"""What labelling tools import, checked by the structure that their documentation asks for."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely

from segassess.cli import console
from segassess.cli import queue as review_queue
from segassess.outputs.review_queue.fiftyone import fiftyone_sample
from segassess.outputs.review_queue.tasks import Regions, ReviewTask
from tests.cli.scripts import run_script
from tests.outputs.review_queue.conftest import DIGEST

NUMBERS = {"estimated_iou", "estimated_f1", "estimated_precision", "estimated_recall", "error_share", "error_area_px"}


def make(predicted, *options):
    review_queue.main([f"input={predicted}", *options])


def test_label_studio(predicted, tmp_path, capsys):
    make(predicted, f"output={tmp_path}/my queue", "most=4")
    assert capsys.readouterr().out.startswith("4 tiles, worst first: ")
    tasks = json.loads((tmp_path / "my queue" / "tasks.json").read_text())
    view = ElementTree.fromstring((tmp_path / "my queue" / "labeling_config.xml").read_text())
    image, polygons, header = view.find("Image"), view.find("PolygonLabels"), view.find("Header")
    mask = view.find("Image[@name='mask']")
    labels = {label.get("value") for label in polygons}
    assert labels == {"FP", "FN"}
    assert [task["data"]["rank"] for task in tasks] == [1, 2, 3, 4]
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert all(0 <= score <= 1 for score in scores)
    seen = set()
    for task in tasks:
        # The interface reads these keys of the data.
        assert {image.get("value"), header.get("value"), mask.get("value")} <= {f"${key}" for key in task["data"]}
        assert NUMBERS <= set(task["data"])
        for each in ("image", "mask"):
            where = task["data"][each].removeprefix("/data/local-files/?d=my%20queue/")
            assert (tmp_path / "my queue" / where).is_file()
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == f"segassess {DIGEST}"
        assert prediction["score"] == pytest.approx(1 - task["data"]["error_share"])
        ids = [region["id"] for region in prediction["result"]]
        assert len(ids) == len(set(ids))
        for region in prediction["result"]:
            assert region["type"] == "polygonlabels" and region["original_width"] in (100, 30)
            assert region["from_name"] == polygons.get("name") and region["to_name"] == image.get("name") == polygons.get(
                "toName"
            )
            (label,) = region["value"]["polygonlabels"]
            assert label in labels and 0 <= region["score"] <= 1
            seen.add(label)
            points = region["value"]["points"]
            assert len(points) >= 3 and all(0 <= value <= 100 for point in points for value in point)
            assert max(value for point in points for value in point) > 1, "percent, not shares"
    assert seen == labels


def test_the_address_of_pictures(predicted, tmp_path):
    make(predicted, f"output={tmp_path}", "most=1", "image_url=https://tiles.example.org/a/")
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["data"]["image"].startswith("https://tiles.example.org/a/images/image_r")


def test_fiftyone(predicted):
    make(predicted, "to=fiftyone")
    queue = predicted / "fiftyone"
    assert json.loads((queue / "metadata.json").read_text())["media_type"] == "image"
    samples = json.loads((queue / "samples.json").read_text())["samples"]
    assert [sample["rank"] for sample in samples] == list(range(1, 13))
    errors = 0
    for sample in samples:
        assert (queue / sample["filepath"]).is_file() and not Path(sample["filepath"]).is_absolute()
        assert NUMBERS <= set(sample) and sample["_media_type"] == "image"
        assert sample["errors"]["_cls"] == "Polylines"
        for line in sample["errors"]["polylines"]:
            assert line["_cls"] == "Polyline" and line["label"] in ("FP", "FN") and line["closed"] and line["filled"]
            assert 0 <= line["confidence"] <= 1
            for ring in line["points"]:
                assert len(ring) >= 3 and all(0 <= value <= 1 for point in ring for value in point)
            errors += 1
    assert errors > 10


def test_outlines_of_fiftyone_are_valid():
    """As FiftyOne makes geometries of filled polylines: a multipolygon of the rings, each without holes."""
    rng = np.random.default_rng(0)
    frame, polylines, several = (0, 0, 96, 80), 0, 0
    for _ in range(8):
        spots = shapely.union_all([shapely.box(x, y, x + w, y + h) for x, y, w, h in rng.integers(2, 40, (30, 4)) * (2, 2, 1, 1)])
        holes = shapely.union_all([shapely.box(x, y, x + 3, y + 3) for x, y in rng.integers(0, 90, (40, 2))])
        outlines = shapely.get_parts(shapely.difference(spots, holes))
        columns = {"error": np.arange(len(outlines)), "quality": ["FP"] * len(outlines), "form": ["area"] * len(outlines)}
        regions = Regions(outlines, {**columns, "mean_error": np.full(len(outlines), 0.7)})
        errors = tuple(regions.within(*frame, 1.0, rims=False))
        task = ReviewTask("a", "b", "r0c0", "images/a.png", 96, 80, 0, 0, "masks/a.png", 0.0, 0.0, None, None, {}, errors)
        lines = fiftyone_sample(task, 1)["errors"]["polylines"]
        for line in lines:
            shape = shapely.MultiPolygon([shapely.Polygon(ring) for ring in line["points"]])
            assert shape.is_valid, shapely.is_valid_reason(shape)
            assert shapely.within(shape, shapely.box(-1e-9, -1e-9, 1 + 1e-9, 1 + 1e-9))
        # Together the pieces are the region.
        for error in errors:
            area = sum(shapely.Polygon(line["points"][0]).area for line in lines if line["error"] == error.error)
            assert area * 96 * 80 == pytest.approx(sum(shapely.Polygon(ring).area for ring in error.rings))
            several += len(error.rings) > 1
        polylines += len(lines)
    assert polylines > 80 and several > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["input={}"], ["run.json"]),
        (["input={}", "to=josm"], ["run.json"]),
        ([], ["input"]),
        (["{}"], ["input", "image_url"]),
        (["input="], ["input="]),
        (["input={}", "format=fiftyone"], ["format=fiftyone"]),
        (["input={}", "to=jira"], ["to", "label_studio or fiftyone", "maproulette", "'jira'"]),
        (["input={}", "most=0"], ["most", "1 or more", "'0'"]),
        (["input={}", "errors=2.5"], ["errors", "1 or more", "'2.5'"]),
        (["input={}", "simplify=-1"], ["simplify", "0 or more", "'-1'"]),
        (["input={}", "simplify=inf"], ["simplify", "0 or more", "'inf'"]),
    ],
)
def test_a_wrong_request_is_one_sentence(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr("sys.argv", ["segassess", "queue", *(argument.format(tmp_path) for argument in arguments)])
    with pytest.raises(SystemExit) as stopped:
        console.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and error.count("\n") == 1 and all(word in error for word in words)


@pytest.mark.slow
def test_after_predict(predicted, checkpoint, tmp_path):
    image, mask = predicted.parent / "image.tif", predicted.parent / "perturbed.tif"
    arguments = f"image={image}", f"mask={mask}", f"checkpoint={checkpoint}", f"output_dir={tmp_path}/out"
    run_script("predict", *arguments, "report=false", "output.review_tile=100", f"hydra.run.dir={tmp_path}/run")
    shown = run_script("segassess", "queue", f"input={tmp_path}/out").stdout
    assert shown.startswith("6 tiles, worst first: ")
    assert len(json.loads((tmp_path / "out" / "label_studio" / "tasks.json").read_text())) == 6
