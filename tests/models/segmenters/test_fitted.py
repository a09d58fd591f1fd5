import pytest
import torch

from segassess.errors import CheckpointError, RequestError
from segassess.models.segmenters.architectures import build_segmenter, resolved_spec
from segassess.models.segmenters.fitted import FULL, FittedSegmenter, fold_file
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, load_segmenter, read_description, save_segmenter
from tests.models.segmenters.stubs import fitted, stored

SPEC = resolved_spec({"name": "unetformer", "size": "small", "pretrained": False, "width": 24})


def test_a_tile_goes_to_a_network_that_has_not_learned_from_it():
    networks = fitted(
        stored(0.1, trained_on="abcd", selected_on="v"),
        stored(0.2, trained_on="ab", selected_on="v"),
        stored(0.3, trained_on="cd", selected_on="v"),
    )
    assert [networks.choose(tile) for tile in "acvx"] == [(2, "no"), (1, "no"), (0, "selected"), (0, "no")]
    networks.refuse_seen("abcdvx")


def test_a_tile_that_all_have_seen():
    alone = fitted(stored(0.1, trained_on="ab"))
    assert alone.choose("b") == (0, "trained")
    with pytest.raises(RequestError, match=r"bright .* a;.*task=crossfit"):
        alone.refuse_seen("xab")


def test_networks_of_several_kinds_are_refused():
    with pytest.raises(RequestError, match=r"bright at 0\.5, dark at 0\.5"):
        fitted(stored(0.1), stored(0.1, name="dark"))
    with pytest.raises(RequestError):
        fitted()


def test_a_folder_of_networks_and_a_single_file(tmp_path):
    segmenter = build_segmenter(SPEC).eval()
    for file, names in ((FULL, ("a", "b")), (fold_file(0), ("b",))):
        save_segmenter(tmp_path / file, segmenter, SegmenterDescription(SPEC, 0.4, names, ("v",), {"seed": 1}))
    folder = FittedSegmenter.load(tmp_path, "unetformer")
    assert (folder.name, folder.threshold, folder.choose("a"), folder.choose("b")) == (
        "unetformer",
        0.4,
        (1, "no"),
        (0, "trained"),
    )
    alone = FittedSegmenter.load(tmp_path / fold_file(0), "unetformer")
    assert alone.choose("a") == (0, "no")
    image = torch.rand(1, 3, 40, 50)
    assert torch.equal(alone.networks[0].segmenter.probability(image), segmenter.probability(image))
    assert not any(parameter.requires_grad for parameter in alone.networks[0].segmenter.parameters())
    description = read_description(tmp_path / FULL)
    assert (description.trained_on, description.selected_on, description.training) == (("a", "b"), ("v",), {"seed": 1})
    assert folder.networks[0].digest != folder.networks[1].digest
    with pytest.raises(CheckpointError, match=r"unetformer.* hrnet"):
        FittedSegmenter.load(tmp_path, "hrnet")


def test_what_is_no_segmenter(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere.*task=segmenter"):
        FittedSegmenter.load(tmp_path / "nowhere", "hrnet")
    with pytest.raises(CheckpointError, match=r"full\.safetensors"):
        FittedSegmenter.load(tmp_path, "hrnet")
    with pytest.raises(CheckpointError, match=r"no\.safetensors"):
        load_segmenter(tmp_path / "no.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing")
    with pytest.raises(CheckpointError, match=r"text\.safetensors"):
        load_segmenter(tmp_path / "text.safetensors")
    (tmp_path / "a.pth").write_text("nothing")
    with pytest.raises(CheckpointError, match=r"a\.pth"):
        load_segmenter(tmp_path / "a.pth")


def test_a_map_is_computed_once_and_kept_within_memory(monkeypatch):
    networks = fitted(stored(0.3), stored(0.7))
    images = torch.rand(3, 1, 3, 8, 8)
    asked = []
    for index, network in enumerate(networks.networks):
        network.segmenter.register_forward_hook(lambda *_, index=index: asked.append(index))
    first = networks.probability(0, images[0])
    assert torch.equal(networks.probability(0, images[0].clone()), first) and asked == [0]
    # Another network, other pixels and another shape of the same pixels are other maps.
    assert not torch.equal(networks.probability(1, images[0]), first)
    assert networks.probability(0, images[0].reshape(1, 3, 4, 16)).shape == (1, 1, 4, 16) and asked == [0, 1, 0]
    # The one that was asked for longest ago goes first.
    monkeypatch.setattr("segassess.models.segmenters.fitted.KEPT_BYTES", 3 * first.nbytes)
    networks.probability(0, images[0])
    networks.probability(0, images[1])
    networks.probability(0, images[0])
    assert asked == [0, 1, 0, 0]
    networks.probability(1, images[0])
    assert asked == [0, 1, 0, 0, 1]
