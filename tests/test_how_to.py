"""What the pages on adding networks show is code that passes the tests it speaks of."""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
import timm
import torch

from segassess import quality
from segassess.data.batch import Batch
from segassess.models.assessor.compositions import ASSESSORS, build_assessor
from segassess.models.assessor.encoders.names import ENCODERS
from segassess.models.baselines import BASELINES, build_baseline
from segassess.models.segmenters.architectures import SEGMENTERS
from segassess.training.module import assess_batch
from tests.conftest import ROOT, save
from tests.models.assessor import test_compositions as compositions
from tests.models.segmenters.base import SegmenterContract
from tests.parity import rules

MODELS = "src/segassess/models"


def shown(page: str, file: str) -> ModuleType:
    """The module that a page shows under the name of this file."""
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text()
    code = re.search(rf'```python title="{re.escape(file)}"\n(.*?)```', text, re.S)[1]
    module = ModuleType(f"shown_{page.replace('-', '_')}")
    sys.modules[module.__name__] = module
    exec(compile(code, f"{page}.md", "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The pages' networks under the names that the pages give them, for this module only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SEGMENTERS, "pyramidsum", shown("add-a-segmenter", f"{MODELS}/segmenters/pyramidsum.py").PyramidSum)
        patch.setitem(ENCODERS, "resnet18", shown("add-an-encoder", f"{MODELS}/assessor/encoders/resnet18.py").ResNet18)
        patch.setitem(BASELINES, "majority", shown("add-a-baseline", f"{MODELS}/baselines/majority.py").Majority)
        yield


class TestSegmenterOfThePage(SegmenterContract):
    name = "pyramidsum"


@pytest.fixture(scope="module", params=ASSESSORS)
def model(request, registered):
    torch.manual_seed(0)
    built = build_assessor({"name": request.param}, {"name": "resnet18", "pretrained": False, "embedding_dim": 64}).eval()
    built.has_edges = request.param not in compositions.WITHOUT_EDGES
    return built


# The checks of every composition, on the fixture above.
test_any_size = compositions.test_any_size_gives_maps_of_that_size
test_padding = compositions.test_padding_is_cut_off_where_it_was_added
test_batch = compositions.test_results_do_not_depend_on_the_batch
test_learning = compositions.test_every_trainable_parameter_learns


def test_what_the_page_says_of_the_encoder_s_sizes():
    info = timm.create_model("resnet18", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)).feature_info
    encoder = ENCODERS["resnet18"](pretrained=False)
    assert (tuple(info.channels()), tuple(info.reduction())) == (encoder.level_dims, encoder.level_strides)


def test_baseline_of_the_page():
    mask = rules.mask(64, 2, seed=5)
    baseline = build_baseline("majority")
    logits = baseline.assess(baseline.encode_image(torch.zeros(2, 3, 64, 64)), mask).quality_logits
    free, consistent = (quality.decode(quality.probabilities(logits, mask, decoding)) for decoding in ("free", "consistent"))
    assert torch.equal(free, consistent) and {int(code) for code in free.unique()} >= {quality.FP, quality.FN}


def test_stored_maps_of_the_page(tmp_path, monkeypatch):
    page = shown("add-a-baseline", "stored_maps.py")
    monkeypatch.setattr(page, "MAPS", tmp_path / "maps")
    mask = rules.mask(64, 2, seed=5)
    error = np.zeros((2, 64, 64), np.uint8)
    error[:, 10:30, 20:50] = 200
    for name, pixels in zip(("a", "b"), error, strict=True):
        save(tmp_path / "maps" / "mine" / f"{name}.png", pixels)
    batch = Batch(torch.zeros(2, 3, 64, 64), mask, None, torch.ones_like(mask, dtype=torch.bool), ["a", "b"], ["mine"] * 2)
    baseline = build_baseline(f"{page.__name__}.StoredMaps")
    assert baseline.judges("mine") and not baseline.judges("other")
    logits = assess_batch(baseline, batch).quality_logits
    codes = quality.decode(quality.probabilities(logits, mask, "consistent")).numpy()
    assert np.array_equal(np.isin(codes, (quality.FP, quality.FN)), error > 127)
