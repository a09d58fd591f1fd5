import numpy as np
import pytest
import torch

from segassess import quality
from segassess.data.batch import Batch
from segassess.errors import ConfigError, RequestError
from segassess.models.baselines import BASELINES, BaselineContext, build_baseline
from segassess.models.baselines.boundary_prior import MAX_DISTANCE, BoundaryPrior, distance_to_edge
from tests.models.baselines.stubs import tiny_sam
from tests.models.segmenters.stubs import fitted, stored
from tests.parity import rules


def batch(mask: torch.Tensor, truth: torch.Tensor) -> Batch:
    count = len(mask)
    image = torch.zeros(count, 3, *mask.shape[-2:])
    return Batch(image, mask, truth, torch.ones_like(mask, dtype=torch.bool), ["t"] * count, ["s"] * count)


@pytest.fixture
def eroded():
    """Masks whose errors all lie within 2 px inside the edge of the mask."""
    mask = rules.mask(64, 4, seed=5)
    truth = 1 - torch.nn.functional.max_pool2d(1 - mask, 5, stride=1, padding=2)
    return batch(mask, truth)


@pytest.fixture
def context(tmp_path, tiny_sam_type):
    """All that a baseline may ask for."""
    checkpoint = tmp_path / "sam.pth"
    torch.save(tiny_sam().state_dict(), checkpoint)
    networks = {"s": fitted(stored(0.5, name="s")), "other": fitted(stored(0.4, name="other"))}
    return BaselineContext(networks, ["s", "other"], {"t": "t"}, (), checkpoint, tiny_sam_type)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_answers_like_an_assessor(name, shared, eroded, context):
    baseline = build_baseline(name, context)
    if baseline.learns:
        baseline.fit_batch(eroded)
        baseline.finish_fit()
    features = baseline.encode_image(eroded.image[:1] if shared else eroded.image)
    output = baseline.assess(features, eroded.mask, sources=eroded.source)
    assert output.quality_logits.shape == (4, 4, 64, 64)
    free = quality.decode(quality.probabilities(output.quality_logits, eroded.mask, "free"))
    consistent = quality.decode(quality.probabilities(output.quality_logits, eroded.mask, "consistent"))
    assert torch.equal(free, consistent)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "chosen from always_right"),
        ("nowhere.Mine", "cannot be imported"),
        ("segassess.models.baselines.odds.Nobody", "cannot be imported"),
        ("segassess.data.batch.Batch", "must be a class of segassess.models.baselines.Baseline"),
    ],
)
def test_a_baseline_that_there_is_not(name, words):
    with pytest.raises(ConfigError, match=words):
        build_baseline(name)


def test_always_right_calls_nothing_an_error(eroded):
    baseline = build_baseline("always_right")
    output = baseline.assess(baseline.encode_image(eroded.image), eroded.mask)
    assert quality.error_map(quality.probabilities(output.quality_logits, eroded.mask, "free")).max() < 1e-6


def test_boundary_prior_finds_the_band_that_errors_lie_in(eroded):
    baseline = BoundaryPrior()
    baseline.fit_batch(eroded)
    baseline.finish_fit()
    outside, inside = baseline.radius
    assert outside == 0 and 2 <= inside <= 4
    output = baseline.assess(baseline.encode_image(eroded.image), eroded.mask)
    predicted = quality.decode(quality.probabilities(output.quality_logits, eroded.mask, "consistent"))
    assert eroded.truth is not None
    true = quality.encode(eroded.mask, eroded.truth)[:, 0]
    both = ((predicted == quality.FP) & (true == quality.FP)).sum() / ((predicted == quality.FP) | (true == quality.FP)).sum()
    assert both > 0.7
    # The decision is exactly the band.
    distance = np.stack([distance_to_edge(mask[0].numpy() > 0) for mask in eroded.mask])
    band = (distance <= inside) & (eroded.mask[:, 0].numpy() > 0)
    assert np.array_equal(predicted.numpy() == quality.FP, band)


def test_distance_of_masks_without_an_edge():
    assert (distance_to_edge(np.zeros((3, 4), bool)) == MAX_DISTANCE).all()
    assert (distance_to_edge(np.ones((3, 4), bool)) == MAX_DISTANCE).all()


def test_boundary_prior_must_have_learned():
    with pytest.raises(RequestError, match="has seen no training mask"):
        BoundaryPrior().finish_fit()


@pytest.mark.parametrize("name", ["disagreement_best", "disagreement_ensemble", "confidence", "entropy", "sam_agreement"])
def test_a_baseline_that_lacks_something_says_so(name):
    wanted = "sam.checkpoint=FILE" if name == "sam_agreement" else "task=crossfit"
    with pytest.raises(RequestError, match=rf"^{name} .*{wanted}"):
        build_baseline(name)


def test_a_network_that_has_seen_the_tiles_under_evaluation_is_refused():
    networks = {"s": fitted(stored(0.5, name="s", trained_on=["a", "b"]), stored(0.5, name="s", trained_on=["b"]))}
    with pytest.raises(RequestError, match=r"network of s .*disagreement_ensemble .* a, "):
        build_baseline("disagreement_ensemble", BaselineContext(networks, ["s"], judged_keys=["x", "a"]))


def test_unknown_baseline():
    with pytest.raises(ConfigError, match=r"always_right.*'oracle'"):
        build_baseline("oracle")
