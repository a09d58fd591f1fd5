"""A folder in the layout of Hugging Face holds all of an assessor."""

import json

import pytest
import torch

from segassess.errors import CheckpointError, RequestError
from segassess.files import file_digest
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.export.agreement import generated_batch
from segassess.models.export.huggingface import from_pretrained, save_pretrained
from segassess.models.export.model_card import card_of
from tests.conftest import ROOT


def front_matter(text: str) -> dict[str, object]:
    """Its values are JSON, which is YAML."""
    _, matter, _ = text.split("---\n", 2)
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in matter.splitlines())}


@pytest.fixture
def folder(compact, tmp_path):
    save_pretrained(tmp_path / "mine", compact)
    return tmp_path / "mine"


def test_round_trip(compact, folder):
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    image, mask = map(torch.from_numpy, generated_batch((1, 64, 96)))
    with torch.inference_mode():
        wanted = compact.assessor(image, mask).quality_logits
        for loaded in (from_pretrained(folder), from_pretrained(str(folder)), load_assessor(folder)):
            assert loaded.description == compact.description
            assert torch.equal(loaded.assessor(image, mask).quality_logits, wanted)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "segassess" and config["encoder"]["name"] == "efficientnet_lite0"


def test_half_precision_only_where_nothing_is_lost(compact, folder, tmp_path):
    box = ROOT / "checkpoints" / "twin_lite0.safetensors"
    save_pretrained(tmp_path / "box", load_assessor(box))
    assert file_digest(tmp_path / "box" / "model.safetensors") == file_digest(box), "the same weights are the same file"
    whole = sum(tensor.numel() * tensor.element_size() for tensor in compact.assessor.state_dict().values())
    assert (folder / "model.safetensors").stat().st_size > whole


def test_a_config_of_another_model_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["assessor"]["depth"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="describes another assessor"):
        from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        from_pretrained(folder)


def test_names_of_repositories_go_to_the_hub(compact, folder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(repository, allow_patterns):
        asked.append(repository)
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert from_pretrained("somebody/assessor").description == compact.description and asked == ["somebody/assessor"]

    def offline(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(CheckpointError, match="somebody/assessor is no folder"):
        from_pretrained("somebody/assessor")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(RequestError, match=r"huggingface_hub is not installed.*segassess\[hub\]"):
        from_pretrained("somebody/assessor")


def test_the_card_of_the_box_is_its_own(tmp_path):
    checkpoint = ROOT / "checkpoints" / "twin_lite0.safetensors"
    loaded = load_assessor(checkpoint)
    card = card_of(checkpoint, loaded, "twin_lite0")
    text = card.markdown(loaded, "somebody/assessor")
    matter = front_matter(text)
    assert matter["license"] == "apache-2.0" and matter["datasets"] == ["all_real", "real_networks", "shared_tiles"]
    assert {"library_name", "tags", "metrics", "pipeline_tag"} <= matter.keys()
    for words in ("OpenAerialMap contributors", "## Limits", 'from_pretrained("somebody/assessor")'):
        assert words in text
    assert "](../" not in text, "links to files of the repository lead nowhere elsewhere"


def test_the_card_of_others_says_what_the_description_says(compact, folder, tmp_path):
    text = (folder / "README.md").read_text()
    matter = front_matter(text)
    assert matter["license"] == "unknown" and matter["datasets"] == ["folder", "tiles"]
    for words in ("assessor compact on encoder efficientnet_lite0", "a, b", compact.digest, "not stated"):
        assert words in text
    (tmp_path / "README.md").write_text("# About something else\n")
    assert card_of(tmp_path / "mine.ckpt", compact, "mine", "MIT").licence == "MIT"
