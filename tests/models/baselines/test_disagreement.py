import math

import pytest
import torch

from segassess import quality
from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.baselines import BaselineContext, build_baseline
from segassess.models.baselines.disagreement import BestDisagreement, EnsembleDisagreement, FittedDisagreement
from segassess.models.segmenters.fitted import FittedSegmenter
from tests.models.segmenters.stubs import fitted, stored

# Brightness rises from left to right, so that a segmenter's level is the column where its mask begins.
IMAGE = torch.linspace(0, 1, 60).expand(1, 3, 20, 60).contiguous()
RAMP = IMAGE[:, :1]


def segmenter(name: str, level: float, **options) -> FittedSegmenter:
    return fitted(stored(level, name=name, **options))


def errors(baseline, mask, sources=()) -> torch.Tensor:
    output = baseline.assess(baseline.encode_image(IMAGE), mask, sources)
    predicted = quality.decode(quality.probabilities(output.quality_logits, mask, "free"))
    return ((predicted == quality.FP) | (predicted == quality.FN)).float().unsqueeze(1)


def fit(baseline, truth: torch.Tensor, names: list[str], valid: torch.Tensor | None = None):
    count = len(names)
    truth = truth.float().expand(count, 1, 20, 60)
    valid = torch.ones_like(truth, dtype=torch.bool) if valid is None else valid
    baseline.fit_batch(Batch(IMAGE.expand(count, 3, 20, 60), 1 - truth, truth, valid, names, ["s"] * count))
    baseline.finish_fit()
    return baseline


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_an_error_is_where_the_mask_differs_from_the_other_segmenter(threshold):
    networks = {"one": segmenter("one", 0.4, threshold=threshold), "two": segmenter("two", 0.9)}
    drawn = (networks["one"].networks[0].segmenter.probability(IMAGE) > threshold).float()
    masks = torch.cat([drawn, 1 - drawn, torch.zeros_like(drawn), (torch.rand(1, 1, 20, 60) > 0.5).float()])
    difference = (masks != drawn).float()
    ensemble = EnsembleDisagreement(networks, {})
    assert torch.equal(errors(ensemble, masks, ["two"] * 4), difference)
    best = fit(BestDisagreement(networks, {"t": "t"}), RAMP > 0.4, ["t"])
    assert next(iter(best.iou)) == "one"
    assert torch.equal(errors(best, masks, ["raw"] * 4), difference)
    assert torch.equal(errors(best, masks), difference)


def test_nobody_judges_their_own_mask():
    networks = {name: segmenter(name, level) for name, level in {"near": 0.41, "far": 0.7, "farthest": 0.95}.items()}
    best = fit(BestDisagreement(networks, {"t": "t"}), RAMP > 0.4, ["t"])
    assert list(best.iou) == ["near", "far", "farthest"]
    mask = (RAMP > 0.4).float()
    found = errors(best, mask.expand(2, 1, 20, 60), ["near", "far"])
    assert found[1].sum() < found[0].sum()
    assert torch.equal(found[:1], (mask != (RAMP > 0.7)).float())


def test_the_ensemble_is_the_mean_of_all_but_the_source():
    # Not saturated between the levels; the threshold of b doubles its odds.
    image = IMAGE * 0.2 + 0.4
    networks = {"a": segmenter("a", 0.47), "b": segmenter("b", 0.5, threshold=1 / 3), "c": segmenter("c", 0.53)}
    baseline = EnsembleDisagreement(networks, {})
    odds = torch.exp((image[:, :1] - torch.tensor([0.47, 0.5, 0.53]).view(3, 1, 1, 1)) * 100) * torch.tensor([1, 2, 1]).view(
        3, 1, 1, 1
    )
    shifted = odds / (1 + odds)
    output = baseline.assess(baseline.encode_image(image), torch.zeros(4, 1, 20, 60), ["raw", "a", "b", "c"])
    found = quality.probabilities(output.quality_logits, torch.zeros(4, 1, 20, 60), "consistent")[:, quality.FN]
    for row, others in zip(found, ([0, 1, 2], [1, 2], [0, 2], [0, 1]), strict=True):
        assert torch.allclose(row, shifted[others].mean(dim=0)[0], atol=1e-3)


def test_the_best_is_chosen_by_networks_that_have_not_seen_the_tile():
    """The full network of "cheat" draws the truth of what it learned from, but what left the tile out is far off."""
    cheat = fitted(stored(0.4, name="cheat", trained_on="ab"), stored(0.9, name="cheat", trained_on="b"))
    honest = segmenter("honest", 0.5)
    baseline = fit(BestDisagreement({"cheat": cheat, "honest": honest}, {"tile": "a", "seen": "b"}), RAMP > 0.4, ["tile", "seen"])
    columns = RAMP[0, 0, 0]
    assert baseline.iou["cheat"] == pytest.approx(int((columns > 0.9).sum()) / int((columns > 0.4).sum()))
    assert list(baseline.iou) == ["honest", "cheat"]


def test_each_tile_counts_once_and_only_where_valid():
    valid = (RAMP > 0.3).expand(3, 1, 20, 60)
    baseline = fit(BestDisagreement({"s": segmenter("s", 0.2)}, {"t": "t", "u": "u"}), RAMP > 0.3, ["t", "t", "u"], valid)
    assert baseline.iou == {"s": 1.0}
    assert baseline._counts["s"] == [2 * int(valid[0].sum())] * 2


def test_a_segmenter_that_has_seen_everything_is_last():
    networks = {"seen": segmenter("seen", 0.4, trained_on="t"), "bad": segmenter("bad", 0.9)}
    baseline = fit(BestDisagreement(networks, {"t": "t"}), RAMP > 0.4, ["t"])
    assert list(baseline.iou) == ["bad", "seen"] and math.isnan(baseline.iou["seen"])
    with pytest.raises(RequestError, match="no training tile that a network has not learned from"):
        fit(BestDisagreement({"seen": networks["seen"]}, {"t": "t"}), RAMP > 0.4, ["t"])


def test_the_only_segmenter_cannot_judge_itself():
    baseline = EnsembleDisagreement({"only": segmenter("only", 0.4)}, {})
    assert not baseline.judges("only") and baseline.judges("raw")
    with pytest.raises(RequestError, match="disagreement_ensemble cannot judge masks of only, "):
        errors(baseline, torch.zeros(1, 1, 20, 60), ["only"])


@pytest.mark.parametrize("name", ["disagreement_best", "disagreement_ensemble", "disagreement_fitted"])
def test_held_out_segmenters_are_not_asked(name):
    networks = {"known": segmenter("known", 0.4), "held_out": segmenter("held_out", 0.5)}
    baseline = build_baseline(name, BaselineContext(networks, ["known"], {"t": "t"}))
    if baseline.learns:
        fit(baseline, RAMP > 0.5, ["t"])
    assert len(baseline.encode_image(IMAGE).levels) == 1
    if name != "disagreement_fitted":  # its cuts are those of the masks it was fitted on
        assert torch.equal(errors(baseline, torch.zeros(1, 1, 20, 60), ["raw"]), (RAMP > 0.4).float())


def test_the_fitted_ensemble_learns_how_sure_it_must_be():
    """The truth begins where the segmenter is sure already, the mask before: by a cut at 0.5 half of the strip would be right."""
    image = IMAGE * 0.2 + 0.4
    baseline = FittedDisagreement({"s": segmenter("s", 0.5)}, {"t": "t"})
    truth, mask = (image[:, :1] > 0.51).float(), (image[:, :1] > 0.48).float()
    baseline.fit_batch(Batch(image, mask, truth, torch.ones_like(truth, dtype=torch.bool), ["t"], ["alpha"]))
    baseline.finish_fit()

    def called(judge):
        output = judge.assess(judge.encode_image(image), mask)
        return quality.decode(quality.probabilities(output.quality_logits, mask, "consistent")) == quality.FP

    wrong = (mask > truth)[:, 0]
    assert torch.equal(called(baseline), wrong)
    assert called(EnsembleDisagreement(baseline.segmenters, {})).sum() < wrong.sum()


def test_the_fitted_ensemble_learns_nothing_from_images_that_all_networks_have_seen():
    with pytest.raises(RequestError, match="disagreement_fitted knows no training tile"):
        fit(FittedDisagreement({"seen": segmenter("seen", 0.4, trained_on="t")}, {"t": "t"}), RAMP > 0.4, ["t"])


def test_networks_are_no_part_of_the_baseline():
    baseline = EnsembleDisagreement({"s": segmenter("s", 0.4)}, {})
    assert not baseline.state_dict() and not list(baseline.parameters())
