"""What `encoder.weights` takes from a segmenter, and what it refuses."""

import pytest
import torch

from segassess.errors import CheckpointError
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.encoders.efficientnet_lite import EfficientNetLite
from segassess.models.assessor.trained_assessor import Description, save_assessor
from segassess.models.segmenters.architectures import build_segmenter
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, save_segmenter

LITE0 = {"name": "efficientnet_lite0", "pretrained": False}


@pytest.fixture
def segmenter(tmp_path):
    """Gives the file of a segmenter with weights by chance, and the segmenter."""

    def write(name):
        torch.manual_seed(5)
        spec = {"name": name, "size": "small", "pretrained": False}
        network = build_segmenter(spec)
        for buffer in network.buffers():
            if buffer.is_floating_point():  # statistics as after a training
                buffer.add_(torch.rand_like(buffer))
        save_segmenter(tmp_path / f"{name}.safetensors", network, SegmenterDescription(spec, 0.5, ("a", "b"), ("c",)))
        return tmp_path / f"{name}.safetensors", network

    return write


@pytest.mark.parametrize("name", ["unetformer", "deeplabv3plus"])
def test_the_backbone_of_a_segmenter_is_taken_exactly(segmenter, name):
    path, network = segmenter(name)
    encoder = EfficientNetLite("efficientnet_lite0", pretrained=False, embedding_dim=32)
    laterals = encoder.lateral16.weight.clone()
    assert encoder.load_public(path) == f"the backbone of {name}, which learned from 2 tiles"
    theirs = network.state_dict()
    prefix = next(key for key in theirs if key.endswith("conv_stem.weight")).removesuffix("conv_stem.weight")
    assert all(torch.equal(tensor, theirs[prefix + key]) for key, tensor in encoder.backbone.state_dict().items())
    assert torch.equal(encoder.lateral16.weight, laterals)


def test_other_files_are_refused_and_change_nothing(segmenter, tmp_path):
    encoder = EfficientNetLite("efficientnet_lite2", pretrained=False, embedding_dim=32)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "text.pth").write_text("no weights")
    spec = {"name": "compact", "depth": 1, "edge_branch": False, "object_branch": False, "input_scaling": "encoder"}
    save_assessor(tmp_path / "judge.safetensors", build_assessor(spec, LITE0), Description(spec, LITE0, "consistent"))
    for path, words in (
        (tmp_path / "none.safetensors", "does not exist"),
        (tmp_path / "text.safetensors", "damaged or another kind of file"),
        (tmp_path / "text.pth", "is no segmenter of this project"),
        (tmp_path / "judge.safetensors", "is no segmenter of this project"),
        (segmenter("unetformer")[0], "encoder=efficientnet_lite2"),
    ):
        with pytest.raises(CheckpointError, match=words) as refusal:
            encoder.load_public(path)
        assert path.name in str(refusal.value)
    with pytest.raises(CheckpointError, match="segmenter=unetformer"):  # its later stages are a transformer
        EfficientNetLite("efficientnet_lite0", pretrained=False).load_public(segmenter("transunet")[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
