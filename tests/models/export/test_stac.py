"""The item fits the core schema of STAC 1.1, which pystac brings, and has what the Machine Learning Model extension requires.

The schema of the extension is in no package, so its requirements are written down below.
"""

import hashlib
import json
import re

import pystac
import pytest
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from segassess.models.export.stac import model_name, stac_item
from segassess.quality import CLASS_NAMES


@pytest.fixture
def item(compact, graph_file):
    files = {"onnx": graph_file}
    made = stac_item(compact, "my model", files, graph_file.parent, "MIT")
    return json.loads(json.dumps(made))


def test_required_of_an_item(item):
    assert item["type"] == "Feature" and item["stac_version"] == "1.1.0" and item["links"] == []
    assert isinstance(item["id"], str) and item["geometry"] is None and "bbox" not in item
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["properties"]["datetime"])
    prefixes = {key.partition(":")[0] for key in item["properties"] if ":" in key}
    assert prefixes == {"mlm"} and any("/mlm/v1." in address for address in item["stac_extensions"])


def test_fits_the_core_schema(item, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("no network in tests")

    monkeypatch.setattr("pystac.stac_io.DefaultStacIO.read_text_from_href", refuse)
    validator = JsonSchemaSTACValidator()
    addresses = validator.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    assert addresses and "item.json" in addresses
    # Bands of the item that no asset has are refused.
    for asset in item["assets"].values():
        del asset["bands"]
    item["properties"]["bands"] = [{"name": "red"}]
    with pytest.raises(pystac.errors.STACValidationError):
        validator.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")


def test_required_of_a_model(item, compact):
    about = item["properties"]
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]", about["mlm:name"])
    assert about["mlm:architecture"] == "compact on efficientnet_lite0" and about["mlm:framework"] == "ONNX"
    assert about["mlm:tasks"] == ["semantic-segmentation"] and re.fullmatch(r"\d+\.\d+\.\d+", about["mlm:framework_version"])
    assert about["mlm:total_parameters"] == sum(each.numel() for each in compact.assessor.parameters())
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", key) for key in about["mlm:hyperparameters"])
    assert about["mlm:hyperparameters"]["calibration.cuts"] == [-1.1, -1.0]
    image, mask = about["mlm:input"]
    assert image["bands"] == ["red", "green", "blue"]
    assert all([band["name"] for band in asset["bands"]] == image["bands"] for asset in item["assets"].values())
    assert image["value_scaling"] == [{"type": "min-max", "minimum": 0, "maximum": 255}] and mask["bands"] == []
    (output,) = about["mlm:output"]
    for structure, channels in ((image["input"], 3), (mask["input"], 1), (output["result"], 4)):
        assert structure["shape"] == [-1, channels, -1, -1] and structure["data_type"] == "float32"
        assert len(set(structure["dim_order"])) == 4
    classes = output["classification:classes"]
    assert [entry["value"] for entry in classes] == [0, 1, 2, 3] and [entry["title"] for entry in classes] == list(CLASS_NAMES)
    assert all(re.fullmatch(r"[0-9a-zA-Z_-]+", entry["name"]) for entry in classes)
    assert classes[1]["color_hint"] == "D55E00"


def test_files_are_described(item, graph_file):
    asset = item["assets"]["onnx"]
    assert asset["href"] == f"./{graph_file.name}" and asset["roles"] == ["mlm:model", "mlm:compiled"]
    assert asset["mlm:artifact_type"] == "onnx" and asset["file:size"] == graph_file.stat().st_size
    # multihash: the code of SHA-256, its length, the digest.
    assert asset["file:checksum"] == "1220" + hashlib.sha256(graph_file.read_bytes()).hexdigest()


def test_a_fixed_size_and_weights_alone(compact, graph_file):
    files = {"weights": graph_file}
    about = stac_item(compact, "m", files, graph_file.parent, None, size=640)["properties"]
    assert about["mlm:input"][0]["input"]["shape"] == [-1, 3, 640, 640]
    assert about["mlm:framework"] == "PyTorch" and about["license"] == "other"


@pytest.mark.parametrize(("given", "wanted"), [("my model", "my-model"), ("7 of 9", "segassess-7-of-9"), ("a", "segassess-a")])
def test_names_are_made_to_fit(given, wanted):
    assert model_name(given) == wanted
