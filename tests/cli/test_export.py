"""`export.py` as a user runs it, and the graph as a backend of the other scripts."""

import csv
import json

import numpy as np
import pytest
import rasterio

from tests.cli.scripts import error_of, run_fresh


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    result = run_fresh(
        "export", f"checkpoint={checkpoint}", f"output_dir={folder}/out", "name=mine", f"paths.output_root={folder}"
    )
    return folder / "out", result.stdout


def test_what_it_leaves_and_prints(exported, checkpoint):
    folder, printed = exported
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    expected = {
        "assessor.onnx",
        "stac_item.json",
        *(f"huggingface/{n}" for n in ("model.safetensors", "config.json", "README.md")),
    }
    assert files == expected
    for words in ("largest difference", "3 x 64 x 32", "Seconds per megapixel", "times the speed", "assessor.onnx"):
        assert words in printed
    item = json.loads((folder / "stac_item.json").read_text())
    assert item["properties"]["mlm:name"] == "mine"
    for asset in item["assets"].values():
        assert (folder / asset["href"]).stat().st_size == asset["file:size"]
    assert (folder / "huggingface" / "model.safetensors").read_bytes() == checkpoint.read_bytes()


@pytest.mark.slow
def test_predict_with_the_graph_and_with_the_folder(exported, tiny_folder, checkpoint, tmp_path):
    folder, _ = exported
    image = f"image={tiny_folder}/test/image/test_0.png", f"mask={tiny_folder}/test/seg_preds/alpha/test_0.png"
    common = *image, "panel=false", "report=false", f"paths.output_root={tmp_path}"
    scores = {}
    for name, path in (("torch", checkpoint), ("onnx", folder / "assessor.onnx"), ("hub", folder / "huggingface")):
        run_fresh("predict", *common, f"checkpoint={path}", f"output_dir={tmp_path}/{name}")
        (scores[name],) = csv.DictReader((tmp_path / name / "scores.csv").open())
    ours, theirs, same = (rasterio.open(tmp_path / name / "test_0" / "error.tif").read(1) for name in ("torch", "onnx", "hub"))
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1 and np.array_equal(ours, same)
    assert float(scores["onnx"]["estimated_iou"]) == pytest.approx(float(scores["torch"]["estimated_iou"]), abs=1e-4)
    about = json.loads((tmp_path / "onnx" / "run.json").read_text())
    assert about["checkpoint"] == "assessor.onnx" and about["assessor"]["encoder"]["name"] == "efficientnet_lite0"


@pytest.mark.slow
def test_predict_by_another_backend(exported, tiny_folder, checkpoint, tmp_path):
    image = f"image={tiny_folder}/test/image/test_0.png", f"mask={tiny_folder}/test/seg_preds/alpha/test_0.png"
    common = *image, "panel=false", "report=false", f"paths.output_root={tmp_path}", f"checkpoint={checkpoint}"
    for backend in ("torch", "openvino_int8", "onnx"):
        run_fresh("predict", *common, f"output_dir={tmp_path}/{backend}", f"backend={backend}")
    codes, same, rounded = (
        rasterio.open(tmp_path / backend / "test_0" / "quality.tif").read(1) for backend in ("torch", "onnx", "openvino_int8")
    )
    assert np.array_equal(codes, same) and (codes != rounded).mean() < 0.02
    assert {path.suffix for path in (tmp_path / "graphs").iterdir()} == {".onnx", ".blob"}
    assert json.loads((tmp_path / "onnx" / "run.json").read_text())["config"]["backend"] == "onnx"
    graph = f"checkpoint={exported[0]}/assessor.onnx"
    error = error_of(run_fresh("predict", *common[:-1], graph, f"output_dir={tmp_path}/no", "backend=torch", code=2))
    assert "which torch cannot compute" in error and not (tmp_path / "no").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("share", "kept"), [(0.005, True), (0, False)])
def test_the_graph_of_8_bits_is_checked(share, kept, tmp_path):
    """Of the bundled assessor; with weights by chance no pixel may change."""
    wanted = f"output_dir={tmp_path}", "formats=[onnx_int8]", f"check.other_share={share}", "check.speed_repeats=1"
    result = run_fresh("export", f"paths.output_root={tmp_path}", *wanted, code=0 if kept else 2)
    assert (tmp_path / "assessor_int8.onnx").exists() == kept
    assert "The graph of 8 bits in onnxruntime beside torch" in result.stdout


@pytest.mark.slow
def test_evaluate_with_the_graph(exported, tiny_folder, tmp_path):
    data = "dataset=folder", f"dataset.root={tiny_folder}", "source=alpha", "baselines=[]", f"paths.output_root={tmp_path}"
    result = run_fresh("evaluate", *data, f"checkpoint={exported[0]}/assessor.onnx", f"hydra.run.dir={tmp_path}/run")
    assert "alpha" in result.stdout


@pytest.mark.slow
def test_an_export_in_the_way_stays(exported):
    folder, _ = exported
    before = (folder / "assessor.onnx").read_bytes()
    error = error_of(run_fresh("export", f"output_dir={folder}", "formats=[onnx]", code=2))
    assert "assessor.onnx" in error and "overwrite=true" in error
    assert (folder / "assessor.onnx").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["formats=[onnx,tflite]"], "formats must be"),
        (["formats=[stac]"], "would describe no file"),
        (["formats=[stac,onnx_int8]"], "would describe no file"),
        (["onnx.opset=3"], "18 to 20"),
        (["onnx.size=100"], "onnx.size"),
        (["check.tolerance=0"], "check.tolerance"),
        (["check.tolerance=1e-12", "check.speed_repeats=0"], "differs from torch"),
        (["checkpoint=none.safetensors"], "does not exist"),
        (["checkpoint=GRAPH"], "is an exported graph"),
    ],
)
def test_wrong_requests_are_one_sentence(arguments, words, exported, tmp_path):
    arguments = [argument.replace("GRAPH", str(exported[0] / "assessor.onnx")) for argument in arguments]
    common = f"output_dir={tmp_path}/out", f"paths.output_root={tmp_path}"
    assert words in error_of(run_fresh("export", *common, *arguments, code=2))
    assert not (tmp_path / "out" / "assessor.onnx").exists(), "what is wrong is not left behind"
