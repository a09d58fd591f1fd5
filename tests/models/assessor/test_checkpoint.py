import pickle

import pytest
import torch
from safetensors.torch import save_file
from segment_anything import sam_model_registry
from segment_anything.build_sam import _build_sam
from torch import nn

from segassess.errors import CheckpointError
from segassess.models.assessor.checkpoint import (
    HQ_PARTS,
    MisfitError,
    canonical_names,
    detect_layout,
    from_reference,
    load_checkpoint,
    load_weights,
    read_tensors,
)
from segassess.models.assessor.encoders.sam_vit import SIZES, SamVitEncoder
from segassess.models.assessor.segassess import SegAssess
from tests.models.assessor.models import CnnLikeEncoder, tiny, to_reference

SAM_MODELS = {"sam_vit_b": "vit_b", "sam_vit_l": "vit_l", "sam_vit_h": "vit_h"}


@pytest.fixture(scope="module")
def authors():
    """A tiny model's tensors as the authors of SegAssess would save them."""
    state = {to_reference(name): tensor for name, tensor in tiny().state_dict().items()}
    doubled = {f"module.sam.{name}": tensor for name, tensor in state.items() if not name.startswith("TCCA.")}
    return doubled | {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.fixture(scope="module")
def tiny_sam():
    """The state dict of the segment-anything package's own model at the tiny size."""
    sam = _build_sam(192, 8, 4, [1, 3, 5, 7])
    return {name: torch.randn_like(tensor) for name, tensor in sam.state_dict().items()}


def as_hq_sam(sam_state, level_dim):
    """Add what HQ-SAM (arXiv 2306.01567) adds, with its names and shapes."""
    extra = {"hf_token": nn.Embedding(1, 256)}
    extra["hf_mlp"] = nn.Module()
    extra["hf_mlp"].layers = nn.ModuleList([nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 32)])
    for name, widths in {"compress_vit_feat": (level_dim, 256, 32), "embedding_encoder": (256, 64, 32)}.items():
        first, middle, last = widths
        extra[name] = nn.Sequential(
            nn.ConvTranspose2d(first, middle, 2, 2), nn.GroupNorm(1, middle), nn.GELU(), nn.ConvTranspose2d(middle, last, 2, 2)
        )
    extra["embedding_maskfeature"] = nn.Sequential(
        nn.Conv2d(32, 64, 3, padding=1), nn.GroupNorm(1, 64), nn.GELU(), nn.Conv2d(64, 32, 3, padding=1)
    )
    added = nn.ModuleDict({"mask_decoder": nn.ModuleDict(extra)}).state_dict()
    return sam_state | added


def assert_equals(model, expected):
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".safetensors", ".ckpt"])
def test_own_checkpoint_returns_whole(tmp_path, suffix):
    source, path = tiny(), tmp_path / f"model{suffix}"
    if suffix == ".safetensors":
        save_file(source.state_dict(), path)
    elif suffix == ".ckpt":  # as a Lightning module with the assessor in it saves
        state = {f"assessor.{name}": tensor for name, tensor in source.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state, "hyper_parameters": {"lr": 0.1}}, path)
    elif suffix == ".pth":
        torch.save({"model": source.state_dict(), "step": 7}, path)
    else:
        torch.save(source.state_dict(), path)
    target = tiny()
    report = load_checkpoint(target, path)
    assert (report.layout, report.missing, report.unexpected, report.misshapen) == ("own", (), (), ())
    assert len(report.loaded) == len(source.state_dict())
    assert_equals(target, source.state_dict())


def test_own_checkpoint_of_another_encoder_and_of_ablations():
    for make, switches in (
        (lambda **_: SegAssess(CnnLikeEncoder()), {}),
        (tiny, {"edge_branch": False}),
        (tiny, {"edge_branch": False, "hq_tokens": False}),
    ):
        source, target = make(**switches), make(**switches)
        report = load_weights(target, source.state_dict())
        assert not report.missing
        assert_equals(target, source.state_dict())


def test_authors_checkpoint_fills_the_whole_model(authors, tmp_path):
    torch.save({"state_dict": authors}, tmp_path / "best.pkl")
    model = tiny()
    report = load_checkpoint(model, tmp_path / "best.pkl")
    assert report.layout == "reference"
    assert (report.missing, report.unexpected, report.misshapen) == ((), (), ())
    assert set(report.loaded) == set(model.state_dict())
    assert_equals(model, {name: authors[f"module.{to_reference(name)}"] for name in model.state_dict()})


def test_authors_names_map_one_to_one():
    names = list(tiny().state_dict())
    theirs = [to_reference(name) for name in names]
    assert len(set(theirs)) == len(names)
    assert [from_reference(name) for name in theirs] == names
    assert not any(name.startswith("edge_branch.") for name in theirs)


def test_copies_that_differ_are_refused(authors):
    name = "mask_decoder.iou_token.weight"
    with pytest.raises(CheckpointError, match=f"two different tensors for {name}"):
        canonical_names(authors | {f"module.sam.{name}": torch.zeros(1, 256)})


def test_sam_fills_its_parts_and_the_rest_is_reported(tiny_sam, tmp_path):
    torch.save(tiny_sam, tmp_path / "sam_tiny.pth")
    model = tiny()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_checkpoint(model, tmp_path / "sam_tiny.pth")
    assert report.layout == "sam"
    assert set(report.loaded) == set(tiny_sam)
    assert_equals(model, tiny_sam)
    assert set(report.missing) == set(before) - set(tiny_sam)
    assert all(name.startswith(("edge_branch.", *HQ_PARTS)) for name in report.missing)
    assert_equals(model, {name: before[name] for name in report.missing})
    assert "mask_decoder.hf_token" in report.summary()


def test_hq_sam_gives_all_classes_its_token(tiny_sam):
    state = as_hq_sam(tiny_sam, 192)
    model = tiny()
    report = load_weights(model, state)
    assert report.layout == "hq_sam"
    assert report.unexpected == ()
    assert report.missing
    assert all(name.startswith("edge_branch.") for name in report.missing)
    assert_equals(model, tiny_sam)
    decoder = model.mask_decoder
    for index in range(4):
        assert torch.equal(decoder.hf_token.weight[index], state["mask_decoder.hf_token.weight"][0])
        assert torch.equal(decoder.hf_mlps[index].layers[2].weight, state["mask_decoder.hf_mlp.layers.2.weight"])
    assert torch.equal(decoder.compress_vit_feat[0].weight, state["mask_decoder.compress_vit_feat.0.weight"])
    assert "copied to all 4 classes" in report.summary()


def test_layouts_are_told_apart(authors, tiny_sam):
    assert detect_layout(canonical_names(authors)) == "reference"
    assert detect_layout(tiny_sam) == "sam"
    assert detect_layout(as_hq_sam(tiny_sam, 192)) == "hq_sam"
    assert detect_layout(tiny().state_dict()) == "own"
    assert detect_layout(tiny(edge_branch=False).state_dict()) == "own"


def test_missing_tensor_is_refused_by_name_and_nothing_is_loaded(authors):
    model = tiny()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lacking = {name: tensor for name, tensor in authors.items() if not name.endswith("side4_w.3.bias")}
    message = r"best.pkl.*edge_branch.weight_head.3.bias"
    with pytest.raises(MisfitError, match=message) as error:
        load_weights(model, lacking, file="best.pkl")
    assert error.value.report.missing == ("edge_branch.weight_head.3.bias",)
    assert_equals(model, before)


def test_wrong_shape_is_refused_with_both_shapes(tiny_sam):
    state = tiny_sam | {"image_encoder.pos_embed": torch.zeros(1, 32, 32, 192)}
    message = r"image_encoder.pos_embed.*\(1, 32, 32, 192\).*\(1, 64, 64, 192\)"
    with pytest.raises(MisfitError, match=message) as error:
        load_weights(tiny(), state)
    assert [name for name, _, _ in error.value.report.misshapen] == ["image_encoder.pos_embed"]


def test_checkpoint_of_something_else_is_refused():
    with pytest.raises(MisfitError, match=r"linear\.pt") as error:
        load_weights(tiny(), nn.Linear(3, 3).state_dict(), file="linear.pt")
    assert len(error.value.report.missing) == len(tiny().state_dict())


def test_tensors_without_a_place_are_reported_and_ignored():
    source = tiny()
    report = load_weights(tiny(), source.state_dict() | {"loss.class_weights": torch.ones(4)})
    assert report.unexpected == ("loss.class_weights",)


class NotATensor:
    """Any class that a safe reader must not build."""


@pytest.mark.parametrize(
    ("name", "write", "cause"),
    [
        ("a.pth", lambda path: path.write_bytes(b"not a checkpoint"), pickle.UnpicklingError),
        ("a.safetensors", lambda path: path.write_bytes(b"not a checkpoint"), Exception),
        ("a.pkl", lambda path: path.write_bytes(b""), Exception),
        ("a.pt", lambda path: torch.save({"model": NotATensor()}, path), pickle.UnpicklingError),
        ("a.pt", lambda path: torch.save([1, 2], path), None),
        ("a.pt", lambda path: torch.save({"epoch": 3}, path), None),
        ("a.tif", lambda path: path.write_bytes(b"II"), None),
        ("a.pt", lambda path: path.mkdir(), None),
        ("gone.pt", lambda path: None, None),
    ],
)
def test_unreadable_files_are_refused_in_one_sentence(tmp_path, name, write, cause):
    path = tmp_path / name
    write(path)
    with pytest.raises(CheckpointError) as error:
        read_tensors(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None if cause is None else isinstance(error.value.__cause__, cause)


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "best.pkl"
    torch.save(nn.Linear(100, 100).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match=r"best\.pkl"):
        read_tensors(path)


@pytest.mark.parametrize("name", list(SAM_MODELS))
def test_sam_of_every_size_fits_its_encoder(name):
    with torch.device("meta"):
        sam = sam_model_registry[SAM_MODELS[name]]()
        model = SegAssess(SamVitEncoder(*SIZES[name]))
    state = sam.state_dict()
    report = load_weights(model, state)
    assert report.layout == "sam"
    assert set(report.loaded) == set(state)
    if name == "sam_vit_b":
        assert len(report.loaded) == 314
    with torch.device("meta"):
        hq_state = as_hq_sam(state, SIZES[name][0])
    hq_report = load_weights(model, hq_state)
    assert not any(missing.startswith("mask_decoder.") for missing in hq_report.missing)


def test_authors_vit_b_checkpoint_has_811_tensors_of_454_names():
    with torch.device("meta"):
        model = SegAssess(SamVitEncoder(*SIZES["sam_vit_b"]))
    state = {to_reference(name): tensor for name, tensor in model.state_dict().items()}
    doubled = {f"module.sam.{name}": tensor for name, tensor in state.items() if not name.startswith("TCCA.")}
    checkpoint = doubled | {f"module.{name}": tensor for name, tensor in state.items()}
    assert len(checkpoint) == 811
    report = load_weights(model, checkpoint)
    assert (len(report.loaded), report.missing, report.unexpected) == (454, (), ())


def test_other_size_of_sam_is_refused():
    with torch.device("meta"):
        large, base = sam_model_registry["vit_l"](), SegAssess(SamVitEncoder(*SIZES["sam_vit_b"]))
    with pytest.raises(MisfitError, match=r"image_encoder.pos_embed.*\(1, 64, 64, 1024\)"):
        load_weights(base, large.state_dict(), file="sam_vit_l.pth")
