"""What computes the network changes its cost, and hardly its decisions."""

import pickle

import numpy as np
import pytest

import segassess
from segassess.errors import ConfigError, RequestError
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.export.agreement import agreement, generated_batch, other_share
from segassess.models.export.backends import load_for
from segassess.models.export.int8 import write_int8
from segassess.models.export.onnx_file import write_onnx
from segassess.models.graph_runtimes import RUNTIMES, OpenVino
from segassess.models.loading import OnnxAssessor
from segassess.models.onnx_graph import OnnxGraph
from tests.conftest import ROOT
from tests.models.export.conftest import LITE0, stored

pytestmark = pytest.mark.own_process


@pytest.fixture(scope="module")
def twin():
    """The bundled assessor; one by chance has close calls only."""
    return load_assessor(ROOT / "checkpoints" / "twin_lite0.safetensors")


@pytest.fixture(scope="module")
def both(twin, tmp_path_factory):
    """Graphs of 32 and of 8 bits."""
    folder = tmp_path_factory.mktemp("graphs")
    write_onnx(folder / "a.onnx", twin)
    write_int8(folder / "a_int8.onnx", folder / "a.onnx")
    return folder / "a.onnx", folder / "a_int8.onnx"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtimes_agree_with_torch(runtime, twin, both):
    exact, small = (OnnxGraph(path, 1, runtime) for path in both)
    assert not exact.metadata.int8 and small.metadata.int8
    assert exact.metadata.checkpoint == small.metadata.checkpoint == twin.digest
    for shape in ((1, 128, 128), (2, 64, 96)):
        found = agreement(twin, exact, shape)
        assert found.max_error < 1e-4 and found.other_class == 0
        rounded = agreement(twin, small, shape)
        assert found.max_error < rounded.max_error < 0.1 and other_share([rounded]) <= 0.005, rounded


@pytest.mark.slow
def test_openvino_computes_a_window_alike_whatever_came_before(both):
    squares = [generated_batch((1, side, side)) for side in range(32, 32 * (OpenVino.KEPT + 3), 32)]
    wide = generated_batch((1, 64, 96))
    graph = OnnxGraph(both[0], 1, "openvino")
    first = [graph(*batch) for batch in (wide, *squares)]
    again = [graph(*batch) for batch in (*reversed(squares), wide)][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert len(graph._running._compiled) == OpenVino.KEPT + 1


@pytest.mark.slow
def test_openvino_keeps_what_it_compiled(both, tmp_path):
    batch = generated_batch((1, 64, 64))
    expected = OnnxGraph(both[0], 1, "openvino")(*batch)
    first = OnnxGraph(both[0], 1, "openvino", tmp_path)(*batch)
    (kept,) = tmp_path.iterdir()
    modified = kept.stat().st_mtime_ns
    again = pickle.loads(pickle.dumps(OnnxGraph(both[0], 1, "openvino", tmp_path)))(*batch)
    assert np.array_equal(first, expected) and np.array_equal(again, expected)
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [modified]
    OnnxGraph(both[1], 1, "openvino", tmp_path)(*batch)
    kept.write_bytes(kept.read_bytes()[:-1000])
    assert np.array_equal(OnnxGraph(both[0], 1, "openvino", tmp_path)(*batch), expected)
    assert len(list(tmp_path.iterdir())) == 2 and kept.stat().st_mtime_ns != modified
    graph = OnnxGraph(both[0], 1, "openvino", tmp_path)
    for side in range(32, 32 * (OpenVino.KEPT + 4), 32):
        graph(*generated_batch((1, side, side)))
    assert len(list(tmp_path.glob(f"{both[0].stem}_{'?' * 16}.blob"))) == OpenVino.KEPT + 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_graph_travels_to_a_process_with_its_own_threads(runtime, both, monkeypatch):
    monkeypatch.chdir(both[0].parent)
    graph = OnnxGraph(both[0].name, 2, runtime)
    monkeypatch.chdir("/")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    there = pickle.loads(pickle.dumps(graph))
    assert there._opened == (both[0], 1, runtime, None) and there.digest == graph.digest


def test_a_backend_makes_its_graph_once(twin, tmp_path, monkeypatch):
    path, graphs = tmp_path / "a.safetensors", tmp_path / "graphs"
    twin = stored(path, {"name": "twin"}, LITE0)
    assert load_for(path, None, graphs).digest == load_for(path, "torch", graphs).digest == twin.digest
    assert not graphs.exists()
    first = load_for(path, "onnx_int8", graphs)
    assert isinstance(first.assessor, OnnxAssessor) and first.assessor.graph.metadata.int8
    assert len(list(graphs.iterdir())) == 2 and first.description == twin.description and first.digest != twin.digest
    monkeypatch.setattr("segassess.models.export.onnx_file.write_onnx", None)  # it is not asked again
    again = load_for(path, "openvino_int8", graphs)
    assert again.digest == first.digest and not load_for(path, "openvino", graphs).assessor.graph.metadata.int8


def test_what_does_not_fit_is_said(both, tmp_path, monkeypatch):
    exact, small = both
    assert load_for(exact, None, tmp_path).digest == load_for(exact, "openvino", tmp_path).digest
    for path, backend, words in (
        (exact, "torch", "torch cannot compute"),
        (exact, "onnx_int8", "is not a graph of 8 bits"),
        (small, "openvino", "is a graph of 8 bits"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_for(path, backend, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(RequestError, match=r"openvino is not installed; pip install 'segassess\[openvino\]'"):
        load_for(exact, "openvino", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_dense_convolution_there_is_nothing_to_round(tmp_path, compact, graph_file, monkeypatch):
    monkeypatch.setattr("segassess.models.export.int8.ENCODER", "")
    with pytest.raises(ConfigError, match="no dense convolution"):
        write_int8(tmp_path / "small.onnx", graph_file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_from_python(both, tmp_path):
    image, mask = (batch[0] for batch in generated_batch((1, 128, 160)))
    maps = [
        segassess.load(path, backend=backend, graphs=tmp_path).assess(image.transpose(1, 2, 0), mask[0] > 0)
        for path, backend in ((both[0], None), (both[0], "openvino"), (both[1], "openvino_int8"))
    ]
    assert np.array_equal(maps[0].quality, maps[1].quality)
    assert (maps[0].quality != maps[2].quality).mean() < 0.01
