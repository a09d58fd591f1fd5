"""The graph says what the network says, at every size and with every composition."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import segassess
from segassess import quality
from segassess.errors import CheckpointError, ConfigError, InputError, RequestError
from segassess.models.assessor.trained_assessor import Description
from segassess.models.export.agreement import agreement, check_shapes, generated_batch, speed
from segassess.models.export.onnx_file import write_onnx
from segassess.models.loading import load_onnx
from segassess.models.onnx_graph import DESCRIPTION_KEY, GRAPH_KEY, OnnxGraph
from tests.models.export.conftest import LITE0, stored

TOLERANCE = 1e-4
TINY = {"name": "sam_vit_tiny"}


def agrees(loaded, graph, shapes=None):
    for shape in shapes or check_shapes(graph):
        found = agreement(loaded, graph, shape)
        assert found.max_error <= TOLERANCE and found.other_class == 0, found


def test_any_batch_and_any_size(compact, graph_file):
    graph = OnnxGraph(graph_file, threads=1)
    assert graph.metadata.size is None and graph.metadata.window_multiple == 32
    agrees(compact, graph, [(1, 32, 32), (2, 64, 96), (1, 160, 224), (3, 96, 64)])
    images, masks = generated_batch((1, 64, 96))
    probabilities = graph(images, masks)
    assert probabilities.dtype == np.float32 and np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    inside = masks[:, 0] > 0
    assert inside.any() and (probabilities[:, [2, 3]].sum(axis=1)[inside] == 0).all(), "the decoding is part of the graph"
    # The mask matters, and is not only what rules classes out.
    other = graph(images, np.roll(masks, 8, axis=3))
    same = inside & (np.roll(masks, 8, axis=3)[:, 0] > 0)
    assert np.abs(other - probabilities).max(axis=1)[same].max() > 1e-4


def test_the_codes_are_the_decisions_of_quality_tif(compact, graph_file, tmp_path):
    """Of an image that is one window of a size that needs no padding."""
    images, masks = generated_batch((1, 128, 160))
    session = onnxruntime.InferenceSession(str(graph_file), providers=["CPUExecutionProvider"])
    probabilities, codes = session.run(None, {"image": images, "mask": masks})
    assert codes.dtype == np.uint8 and codes.shape == (1, 128, 160)
    judged = segassess.load(graph_file).assess(images[0].transpose(1, 2, 0), masks[0, 0] > 0)
    assert np.array_equal(codes[0], judged.quality)
    assert (probabilities.argmax(axis=1) != codes).mean() > 0.01, "the cuts matter"
    # The same graph decides each image of a batch of another size.
    images, masks = generated_batch((2, 64, 96))
    probabilities, codes = session.run(None, {"image": images, "mask": masks})
    assert np.array_equal(codes, np.stack([compact.description.calibration.decide(each) for each in probabilities]))


@pytest.mark.parametrize(
    ("assessor", "encoder", "decoding"),
    [
        ({"name": "segassess"}, LITE0, "consistent"),  # antialiased resizing
        ({"name": "aqsnet"}, LITE0, "free"),
        ({"name": "twin"}, LITE0, "consistent"),
        pytest.param({"name": "concat_unet"}, LITE0, "consistent", marks=pytest.mark.slow),
        pytest.param({"name": "compact", "edge_branch": False, "object_branch": False}, LITE0, "free", marks=pytest.mark.slow),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_other_compositions(assessor, encoder, decoding, tmp_path):
    loaded = stored(tmp_path / "a.safetensors", assessor, encoder, decoding)
    write_onnx(tmp_path / "a.onnx", loaded)
    agrees(loaded, OnnxGraph(tmp_path / "a.onnx", threads=1), [(1, 64, 96), (3, 128, 64)])


@pytest.mark.parametrize("assessor", ["segassess", pytest.param("compact", marks=pytest.mark.slow)])
def test_a_vision_transformer_has_one_size(assessor, tmp_path):
    loaded = stored(tmp_path / "a.safetensors", {"name": assessor}, TINY)
    metadata = write_onnx(tmp_path / "a.onnx", loaded, size=96)
    graph = OnnxGraph(tmp_path / "a.onnx", threads=1)
    assert metadata.size == 96 and metadata.window_multiple == 96 and graph.metadata == metadata
    agrees(loaded, graph)
    images, masks = generated_batch((1, 112, 96))
    with pytest.raises(InputError, match=r"exported for 96 x 96 px.*tiling.window=96"):
        graph(images, masks)


@pytest.mark.slow
def test_sam_vit_b(tmp_path):
    """Weights by chance, as no weights of SAM are here; the size and every operator are those of the real one."""
    loaded = stored(tmp_path / "a.safetensors", {"name": "segassess"}, {"name": "sam_vit_b"})
    write_onnx(tmp_path / "a.onnx", loaded, size=256)
    graph = OnnxGraph(tmp_path / "a.onnx", threads=1)
    agrees(loaded, graph)
    images, masks = generated_batch((1, 256, 256))
    assert graph(images, masks).std() > 0.1, "what is compared is not constant"


def test_what_the_file_says(compact, graph_file):
    properties = {entry.key: entry.value for entry in onnx.load(graph_file).metadata_props}
    assert Description.from_dict(json.loads(properties[DESCRIPTION_KEY]), graph_file) == compact.description
    about = json.loads(properties[GRAPH_KEY])
    assert about["checkpoint"] == compact.digest and about["pad_multiple"] == 32 and about["size"] is None
    assert [entry["name"] for entry in about["classes"]] == list(quality.CLASS_NAMES)
    assert about["classes"][1]["colour"] == [213, 94, 0, 255]


def test_behind_the_assessor_s_call(compact, graph_file):
    loaded = load_onnx(graph_file)
    assert loaded.description == compact.description and loaded.assessor.pad_multiple == 32
    image, mask = map(torch.from_numpy, generated_batch((2, 70, 90)))
    with torch.inference_mode():
        for network in (loaded, compact):
            features = network.assessor.encode_image(image[:1])
            one = network.assessor.assess(features, mask).quality_logits
            assert one.shape == (2, 4, 70, 90)
            network_probabilities = quality.probabilities(one, mask, "consistent")
            assert network_probabilities.isfinite().all()
            if network is loaded:
                from_graph = network_probabilities
    torch.testing.assert_close(from_graph, network_probabilities, atol=TOLERANCE, rtol=0)
    assert load_onnx(graph_file, decoding="consistent").description.decoding == "consistent"
    with pytest.raises(ConfigError, match="exported with decoding=consistent"):
        load_onnx(graph_file, decoding="free")
    with pytest.raises(ConfigError, match="leave assessor= and encoder= out"):
        load_onnx(graph_file, encoder=LITE0)


def test_what_cannot_be_written_is_said(compact, tmp_path, monkeypatch):
    for options, words in (({"size": 100}, "onnx.size"), ({"size": 0}, "onnx.size"), ({"opset": 9}, "18 to 20")):
        with pytest.raises(ConfigError, match=words):
            write_onnx(tmp_path / "a.onnx", compact, **options)
    cut = stored(tmp_path / "cut.safetensors", {"name": "segassess", "padding": "reference"}, TINY)
    with pytest.raises(ConfigError, match="padding=reference"):
        write_onnx(tmp_path / "a.onnx", cut)
    monkeypatch.setattr("segassess.models.export.onnx_file.MAX_BYTES", 1000)
    with pytest.raises(ConfigError, match="formats"):
        write_onnx(tmp_path / "a.onnx", compact)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(RequestError, match=r"onnx is not installed; pip install 'segassess\[export\]'"):
        write_onnx(tmp_path / "a.onnx", compact)
    assert not (tmp_path / "a.onnx").exists()


def test_files_that_are_no_graph_of_ours(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]), ir_version=9)
    model.opset_import[0].version = 18
    onnx.save(model, tmp_path / "other.onnx")
    for name, words in (("none", "does not exist"), ("broken", "cannot be read"), ("other", "not a graph of this project")):
        with pytest.raises(CheckpointError, match=words):
            OnnxGraph(tmp_path / f"{name}.onnx")


def test_speed_is_measured(compact, graph_file):
    measured = speed(compact, OnnxGraph(graph_file, threads=1), 64, 2)
    assert measured.side == 64 and measured.torch > 0 and measured.onnx > 0
