import json

import pytest
import torch
from torch.nn import functional as F

from segassess.errors import ConfigError, InputError
from segassess.models.assessor.base import ImageFeatures
from segassess.models.assessor.encoders.sam_vit import SIZES, SamVitEncoder
from segassess.models.assessor.prompt_encoder import PromptEncoder
from segassess.models.assessor.segassess import SegAssess
from tests.models.assessor.models import CnnLikeEncoder, filled_tiny, scene, tiny, to_reference
from tests.parity.rules import SHARED

NEVER_RUN = ("iou_prediction_head", "no_mask_embed", "not_a_point_embed", "point_embeddings")


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def vit_b():
    with torch.device("meta"):
        return SegAssess(SamVitEncoder(*SIZES["sam_vit_b"]))


@pytest.fixture(scope="module")
def model():
    return filled_tiny()


def test_vit_b_has_the_published_number_of_parameters(vit_b):
    decoder, branch = vit_b.mask_decoder, vit_b.edge_branch
    assert {
        "all": count(vit_b),
        "image_encoder": count(vit_b.image_encoder),
        "prompt_encoder": count(vit_b.prompt_encoder),
        "mask_decoder": count(decoder),
        "transformer": count(decoder.transformer),
        "output_hypernetworks_mlps": count(decoder.output_hypernetworks_mlps),
        "hf_mlps": count(decoder.hf_mlps),
        "compress_vit_feat": count(decoder.compress_vit_feat),
        "iou_prediction_head": count(decoder.iou_prediction_head),
        "output_upscaling": count(decoder.output_upscaling),
        "embedding_encoder": count(decoder.embedding_encoder),
        "embedding_maskfeature": count(decoder.embedding_maskfeature),
        "edge_branch": count(branch),
        "semantic_filter": count(branch.semantic_filter),
        "side_heads": [count(head) for head in branch.side_heads],
        "weight_head": count(branch.weight_head),
        "adaptive_weights": count(branch.adaptive_weights),
        "fusion": count(branch.fusion),
    } == {
        "all": 127_777_780,
        "image_encoder": 89_670_912,
        "prompt_encoder": 6_220,
        "mask_decoder": 5_549_636,
        "transformer": 3_291_264,
        "output_hypernetworks_mlps": 559_232,
        "hf_mlps": 559_232,
        "compress_vit_feat": 820_000,
        "iou_prediction_head": 132_612,
        "output_upscaling": 73_952,
        "embedding_encoder": 73_952,
        "embedding_maskfeature": 37_088,
        "edge_branch": 32_551_012,
        "semantic_filter": 20_726_882,
        "side_heads": [2_362_945] * 4,
        "weight_head": 2_372_164,
        "adaptive_weights": 84,
        "fusion": 102,
    }


def test_vit_b_has_the_published_names_and_shapes(vit_b):
    path = SHARED / "vitb_state_dict.json"
    if not path.exists():
        pytest.skip(f"{path} is not there; it lists the published implementation's tensors")
    published = {name.removeprefix("sam."): shape for name, shape in json.loads(path.read_text()).items()}
    ours = {to_reference(name): list(tensor.shape) for name, tensor in vit_b.state_dict().items()}
    assert len(ours) == 454
    assert ours == published


def test_parameters_that_never_run_are_frozen_and_no_others(vit_b):
    frozen = [name for name, parameter in vit_b.named_parameters() if not parameter.requires_grad]
    assert len(frozen) == 12
    assert all(any(part in name for part in NEVER_RUN) for name in frozen)


def maps(output) -> dict[str, torch.Tensor]:
    """What there is of an output, by name."""
    return {name: tensor for name, tensor in vars(output).items() if tensor is not None}


def test_many_masks_share_one_encoding(model):
    image, masks = scene(64, 96, images=1, masks=3)
    with torch.inference_mode():
        together = model.assess(model.encode_image(image), masks)
        for index in range(3):
            alone = model(image, masks[index : index + 1])
            for name, tensor in maps(alone).items():
                torch.testing.assert_close(vars(together)[name][index : index + 1], tensor, rtol=0, atol=2e-4)
    assert not torch.allclose(together.quality_logits[0], together.quality_logits[1])


def test_edge_branch_runs_once_per_image(model):
    calls = []
    hook = model.edge_branch.register_forward_hook(lambda *_: calls.append(1))
    image, masks = scene(32, 32, images=1, masks=4)
    with torch.inference_mode():
        features = model.encode_image(image)
        for mask in masks.split(2):
            model.assess(features, mask)
    hook.remove()
    assert len(calls) == 1


def test_plain_image_features_are_accepted(model):
    image, mask = scene(32, 48)
    with torch.inference_mode():
        features = model.encode_image(image)
        plain = ImageFeatures(features.embedding, features.levels, features.size, features.padded_size)
        assert torch.equal(model.assess(plain, mask).quality_logits, model.assess(features, mask).quality_logits)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (300, 200), (16, 31)])
def test_any_size_gives_maps_of_that_size(model, size):
    image, mask = scene(*size)
    with torch.inference_mode():
        output = model(image, mask)
    shapes = {name: tuple(tensor.shape) for name, tensor in maps(output).items()}
    assert shapes == {
        "quality_logits": (1, 4, *size),
        "edge_logits": (1, 1, *size),
        "coarse_logits": (1, 4, *size),
        "sam_logits": (1, 4, *size),
        "hq_logits": (1, 4, *size),
    }
    assert all(torch.isfinite(tensor).all() for tensor in maps(output).values())


def test_padding_never_moves_a_pixel(model):
    image, mask = scene(50, 70)
    with torch.inference_mode():
        output = model(image, mask).quality_logits
        by_hand = model(F.pad(image, (0, 10, 0, 14), mode="replicate"), F.pad(mask, (0, 10, 0, 14), mode="replicate"))
    assert torch.equal(output, by_hand.quality_logits[..., :50, :70])


@pytest.mark.parametrize("how", ["autocast", "weights"])
def test_half_precision_stays_close(model, how):
    image, mask = scene(48, 48)
    half = filled_tiny()
    with torch.inference_mode():
        exact = model(image, mask).quality_logits
        if how == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                output = half(image, mask).quality_logits
        else:
            output = half.bfloat16()(image.bfloat16(), mask.bfloat16()).quality_logits
    error = (output.float() - exact).abs().mean() / exact.std()
    assert error < 0.05


def test_the_sum_of_sam_and_hq_logits_is_the_coarse(model):
    image, mask = scene(32, 32)
    with torch.inference_mode():
        output = model(image, mask)
    torch.testing.assert_close(output.sam_logits + output.hq_logits, output.coarse_logits, rtol=0, atol=1e-5)


def test_encoder_scaling_is_the_encoders_mean_and_std(model):
    scaled = filled_tiny(input_scaling="encoder")
    image, mask = scene(32, 32)
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    with torch.inference_mode():
        by_hand = model((image * 255 - mean) / std, mask).quality_logits
        torch.testing.assert_close(scaled(image, mask).quality_logits, by_hand, rtol=0, atol=1e-3)
        assert not torch.allclose(model(image, mask).quality_logits, by_hand, atol=0.1)


@pytest.mark.parametrize(("path", "sees_all"), [("reference", False), ("antialiased", True)])
def test_which_pixels_of_the_mask_reach_the_decoder(path, sees_all):
    encoder = PromptEncoder(32, path)
    mask = torch.rand(1, 1, 64, 64, requires_grad=True)
    encoder(mask, (4, 4)).square().sum().backward()
    reached = mask.grad[0, 0] != 0
    assert reached[20:28, 20:28].all()  # the centre of a 16 px cell
    assert reached[16:20, 16:32].any().item() is sees_all  # the border of that cell
    assert reached.float().mean().item() == pytest.approx(1.0 if sees_all else 0.25, abs=0.01)


def test_ablations_leave_their_part_out():
    image, mask = scene(32, 32)
    with torch.inference_mode():
        no_edge = filled_tiny(edge_branch=False)(image, mask)
        assert no_edge.edge_logits is None
        assert torch.equal(no_edge.quality_logits, no_edge.coarse_logits)

        no_hq = filled_tiny(hq_tokens=False)
        output = no_hq(image, mask)
        assert output.hq_logits is None
        assert torch.equal(output.coarse_logits, output.sam_logits)
        assert not torch.equal(output.quality_logits, output.coarse_logits)

        no_filter = filled_tiny(semantic_filter=False)
        full = filled_tiny()
        assert not torch.equal(no_filter(image, mask).edge_logits, full(image, mask).edge_logits)
        full.edge_branch.semantic_filter = torch.nn.Identity()
        assert torch.equal(no_filter(image, mask).edge_logits, full(image, mask).edge_logits)
    absent = {"hf_token", "hf_mlps", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature"}
    assert not any(part in name for name in no_hq.state_dict() for part in absent)


def test_uniform_encoder_needs_no_adapters(model):
    assert not any(name.startswith("level_adapters") for name in model.state_dict())


@pytest.mark.parametrize("edge_branch", [True, False])
@pytest.mark.parametrize("hq_tokens", [True, False])
def test_cnn_encoder_trains_every_parameter(edge_branch, hq_tokens):
    encoder = CnnLikeEncoder()
    switches = {"edge_branch": edge_branch, "hq_tokens": hq_tokens}
    model = SegAssess(encoder, input_scaling="encoder", **switches)
    image, mask = scene(70, 90, images=2)
    output = model(image, mask)
    assert output.quality_logits.shape == (2, 4, 70, 90)
    sum(tensor.square().mean() for tensor in maps(output).values()).backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None and not name.startswith("image_encoder.stages")
    ]
    assert without == []
    if edge_branch:
        assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


def test_encoder_of_cnn_levels_gets_adapters_to_the_embeddings_width():
    model = SegAssess(CnnLikeEncoder(dims=(24, 40, 112, 320), width=128))
    assert [tuple(adapter.proj.weight.shape) for adapter in model.level_adapters] == [
        (128, dim, 1, 1) for dim in (24, 40, 112, 320)
    ]
    with torch.inference_mode():
        features = model.eval().encode_image(torch.rand(1, 3, 64, 96))
    assert [tuple(level.shape) for level in features.levels] == [(1, 128, 4, 6)] * 4


@pytest.mark.parametrize("switch", ["prompt", "input_scaling", "padding"])
def test_unknown_switch_is_refused_by_name(switch):
    with pytest.raises(ConfigError, match=rf"assessor\.{switch} .*reference.*'nonsense'"):
        tiny(**{switch: "nonsense"})


def test_encoder_without_four_levels_is_refused():
    with pytest.raises(ConfigError, match=r"32 .* 2 levels"):
        SegAssess(CnnLikeEncoder(strides=(8, 16), dims=(4, 8)))


def test_image_smaller_than_a_token_is_refused_without_padding():
    model = tiny(padding="reference")
    with pytest.raises(InputError, match=r"15 x 40 px .*padding='pad'"):
        model(*scene(15, 40))
