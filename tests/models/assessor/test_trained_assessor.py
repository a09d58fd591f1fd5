"""A trained assessor as one file that describes itself."""

import pytest
import torch

from segassess.errors import CheckpointError
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.trained_assessor import (
    Description,
    load_assessor,
    read_description,
    save_assessor,
    with_mean_weights,
)
from segassess.models.calibration import Calibration
from segassess.models.safetensors_file import read_metadata, write_artifact
from tests.conftest import ROOT

ASSESSOR = {"name": "compact", "depth": 1}
ENCODER = {"name": "efficientnet_lite0", "pretrained": False, "embedding_dim": 64}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_assessor(ASSESSOR, ENCODER).eval()


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(model, tmp_path, half):
    path = tmp_path / "a.safetensors"
    save_assessor(path, model, Description(ASSESSOR, ENCODER, "free", {"sources": ["a"]}), half=half)
    loaded = load_assessor(path)
    assert loaded.description.decoding == "free" and loaded.description.training == {"sources": ["a"]}
    assert load_assessor(path, decoding="consistent").description.decoding == "consistent"
    assert loaded.report.missing == () and not loaded.assessor.training
    tolerance = 1e-2 if half else 0.0
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.assessor.state_dict()[name], tensor, atol=tolerance, rtol=tolerance)
    assert list(tmp_path.iterdir()) == [path]


def test_the_mean_of_weights(model):
    start = {name: value.clone() for name, value in model.state_dict().items()}
    other = build_assessor(ASSESSOR, ENCODER)
    assert with_mean_weights([model]) is model and all(torch.equal(model.state_dict()[name], start[name]) for name in start)
    mean = with_mean_weights([model, other]).state_dict()
    for name, value in other.state_dict().items():
        expected = (start[name] + value) / 2 if value.is_floating_point() else start[name]
        torch.testing.assert_close(mean[name], expected)
    assert any(not torch.equal(mean[name], start[name]) for name in start)


def test_the_calibration_is_stored(model, tmp_path):
    calibration = Calibration((0.5, 0.1), (0.7, -1.0))
    for name, stored in (("plain", Calibration()), ("calibrated", calibration)):
        save_assessor(tmp_path / f"{name}.safetensors", model, Description(ASSESSOR, ENCODER, "free", calibration=stored))
        assert load_assessor(tmp_path / f"{name}.safetensors").description.calibration == stored


@pytest.mark.parametrize("stored", [None, {"fp": [0.0, 1.0]}, [1.0]])
def test_other_calibrations(model, tmp_path, stored):
    """Older files have no calibration; an invalid one is refused."""
    path = tmp_path / "a.safetensors"
    content = Description(ASSESSOR, ENCODER, "free").as_dict()
    del content["calibration"]
    write_artifact(path, model.state_dict(), content if stored is None else {**content, "calibration": stored})
    if stored is None:
        assert "calibration" not in read_metadata(path)
        assert load_assessor(path).description.calibration == Calibration()
    else:
        with pytest.raises(CheckpointError, match=path.name):
            read_description(path)


def test_the_digest_names_the_file(model, tmp_path):
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for path, decoding in zip(paths, ("free", "consistent"), strict=True):
        save_assessor(path, model, Description(ASSESSOR, ENCODER, decoding))
    assert load_assessor(paths[0]).digest != load_assessor(paths[1]).digest


def test_files_of_others_must_be_told_what_they_are(model, tmp_path):
    path = tmp_path / "a.pth"
    torch.save(model.state_dict(), path)
    assert read_description(path) is None
    with pytest.raises(CheckpointError, match=r"a\.pth .*assessor= and encoder="):
        load_assessor(path)
    assert load_assessor(path, assessor=ASSESSOR, encoder=ENCODER).report.layout == "own"


def test_a_part_of_an_assessor_cannot_judge(tmp_path):
    spec = {"name": "segassess"}, {"name": "sam_vit_tiny"}
    foundation = {
        name: tensor
        for name, tensor in build_assessor(*spec).state_dict().items()
        if not name.startswith(("edge_branch", "mask_decoder.h", "mask_decoder.compress", "mask_decoder.embedding"))
    }
    torch.save(foundation, tmp_path / "sam.pth")
    with pytest.raises(CheckpointError, match=r"sam\.pth .*encoder\.weights="):
        load_assessor(tmp_path / "sam.pth", assessor=spec[0], encoder=spec[1])


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt"])
def test_damaged_files_are_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00not a header")
    with pytest.raises(CheckpointError, match=name) as error:
        load_assessor(tmp_path / name)
    assert "\n" not in str(error.value)


def test_the_bundled_assessor():
    path = ROOT / "checkpoints" / "twin_lite0.safetensors"
    loaded = load_assessor(path)
    assert path.stat().st_size < 25e6
    assert loaded.description.assessor["name"] == "twin"
    assert not set(loaded.description.training["sources"]) & set(loaded.description.training["held_out"])
