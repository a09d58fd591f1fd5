"""Small exported assessors."""

import pytest
import torch

from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import Description, load_assessor, save_assessor
from segassess.models.calibration import Calibration
from segassess.models.export.onnx_file import write_onnx

LITE0 = {"name": "efficientnet_lite0", "pretrained": False}


def stored(path, assessor, encoder, decoding="consistent", **about):
    """A seeded, untrained assessor, written and loaded."""
    torch.manual_seed(0)
    network = build_assessor(assessor, encoder)
    # Of an untrained network, each batch norm passes on what it gets; statistics of a training do not.
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    save_assessor(path, network, Description(assessor, encoder, decoding, **about))
    return load_assessor(path)


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def compact(tmp_path_factory):
    """The default composition, calibrated."""
    path = tmp_path_factory.mktemp("compact") / "small.safetensors"
    calibration = Calibration((0.8, -0.3), (0.5, -0.7), (-1.1, -1.0))
    training = {"dataset": {"name": "folder", "base": {"name": "tiles"}}, "sources": ["a", "b"], "seed": 3}
    return stored(path, {"name": "compact", "depth": 1}, LITE0, calibration=calibration, training=training)


@pytest.fixture(scope="package")
def graph_file(compact, tmp_path_factory):
    """Its graph."""
    path = tmp_path_factory.mktemp("graph") / "assessor.onnx"
    write_onnx(path, compact)
    return path
