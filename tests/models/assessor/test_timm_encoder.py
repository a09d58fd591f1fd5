"""Backbones of timm as encoders; weights by chance stand for published ones, which are not here."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from segassess.errors import CheckpointError, ConfigError
from segassess.models.assessor.compositions import build_assessor
from segassess.models.assessor.encoders.costs import cost, main
from segassess.models.assessor.encoders.timm_encoder import TimmEncoder
from segassess.models.assessor.trained_assessor import Description, load_assessor, save_assessor
from tests.cli.conftest import *  # noqa: F403 - the fixtures of scripts
from tests.cli.scripts import run_script

CONVNEXT, VIT = "test_convnext.r160_in1k", "test_vit.r160_in1k"


@pytest.fixture
def published(tmp_path):
    """Gives a file as timm's hub has it, and the whole model."""

    def write(model, suffix=".safetensors"):
        torch.manual_seed(3)
        whole = timm.create_model(model, pretrained=False).eval()
        with torch.no_grad():
            for tensor in whole.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(0.02 * torch.randn_like(tensor).abs())
        path = tmp_path / f"{model}{suffix}"
        if suffix == ".safetensors":
            save_file(whole.state_dict(), path)
        else:
            torch.save(whole.state_dict(), path)
        return path, whole

    return write


@pytest.mark.parametrize(("model", "suffix"), [(CONVNEXT, ".safetensors"), (CONVNEXT, ".pth"), (VIT, ".safetensors")])
@torch.no_grad()
def test_weights_in_a_file_are_loaded_exactly(published, model, suffix):
    path, whole = published(model, suffix)
    encoder = TimmEncoder(model=model, embedding_dim=32).eval()
    assert model in encoder.load_public(path)
    image = torch.rand(1, 3, 160, 160)
    last = encoder(image)[1][-1]
    expected = whole.forward_features(image)
    if model == VIT:
        # Levels are the outputs of blocks before the last norm.
        expected = whole.forward_intermediates(image, indices=1, norm=False, intermediates_only=True)[0]
    torch.testing.assert_close(last, expected)


def test_a_file_of_another_model_is_refused_and_changes_nothing(published, tmp_path):
    encoder = TimmEncoder(model=CONVNEXT, embedding_dim=32)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    (tmp_path / "text.safetensors").write_text("no weights")
    half = {name: tensor for name, tensor in published(CONVNEXT)[1].state_dict().items() if not name.startswith("stages.3")}
    save_file(half, tmp_path / "half.safetensors")
    for path in (published(VIT)[0], tmp_path / "text.safetensors", tmp_path / "half.safetensors", tmp_path / "none.pth"):
        with pytest.raises(CheckpointError, match=path.name):
            encoder.load_public(path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("resnett18", "has no model 'resnett18'"),
        ("convnext_tiny.nonsense", "it has convnext_tiny"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "images of one size only"),
        ("vit_small_patch14_dinov2.lvd142m", "no feature maps"),
    ],
)
def test_models_that_do_not_fit_are_refused(model, words):
    with pytest.raises(ConfigError, match=words):
        TimmEncoder(model=model)


def test_a_frozen_backbone_keeps_weights_and_statistics():
    spec = {"name": "timm", "model": "test_resnet.r160_in1k", "embedding_dim": 32, "frozen": True}
    model = build_assessor({"name": "twin"}, spec).train()
    state = {name: tensor.clone() for name, tensor in model.image_encoder.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    model(torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)).quality_logits.square().mean().backward()
    optimizer.step()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.image_encoder.backbone.state_dict().items())


@torch.no_grad()
def test_a_trained_assessor_needs_no_file_of_the_encoder(tmp_path):
    assessor, encoder = {"name": "twin"}, {"name": "timm", "model": CONVNEXT, "embedding_dim": 32}
    model = build_assessor(assessor, encoder).eval()
    save_assessor(tmp_path / "a.safetensors", model, Description(assessor, encoder, "consistent"))
    loaded = load_assessor(tmp_path / "a.safetensors").assessor
    image, mask = torch.rand(1, 3, 50, 70), torch.ones(1, 1, 50, 70)
    torch.testing.assert_close(loaded(image, mask).quality_logits, model(image, mask).quality_logits)


def test_costs_are_printed_with_the_licence(capsys):
    main([CONVNEXT])
    assert f"| {CONVNEXT} | 0." in (printed := capsys.readouterr().out) and "apache-2.0" in printed
    _, operations = cost("sam_vit_tiny", {})
    assert operations > cost("timm", {"model": CONVNEXT})[1] > 0


@pytest.mark.slow
def test_a_training_starts_from_the_file(tiny_folder, published, tmp_path):
    path, _ = published(CONVNEXT)
    arguments = [f"dataset.root={tiny_folder}", "dataset=folder", "encoder=timm", f"encoder.model={CONVNEXT}"]
    quick = ["sampling.crop=64", "sampling.images_per_batch=2", "trainer.max_epochs=1", "assessor.depth=1"]
    done = run_script(
        "train", *arguments, *quick, f"encoder.weights={path}", "evaluate=false", f"hydra.run.dir={tmp_path / 'run'}"
    )
    assert "licence apache-2.0" in done.stdout + done.stderr
    assert load_assessor(tmp_path / "run" / "assessor.safetensors").description.encoder["model"] == CONVNEXT
    done = run_script("train", *arguments, *quick, "encoder.weights=none.pth", f"hydra.run.dir={tmp_path / 'no'}", code=2)
    assert "none.pth does not exist" in done.stdout + done.stderr
