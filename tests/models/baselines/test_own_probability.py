import pytest
import torch

from segassess import quality
from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.baselines import BaselineContext, build_baseline
from segassess.models.baselines.own_probability import Confidence, Entropy
from tests.models.segmenters.stubs import fitted, stored

BOTH = pytest.mark.parametrize("kind", [Confidence, Entropy])
# Brightness around a level of 0.5, where the stub's probability is neither 0 nor 1: from 0.007 to 0.993.
IMAGE = torch.linspace(0.45, 0.55, 60).expand(1, 3, 20, 60).contiguous()
PROBABILITY = stored(0.5).segmenter.probability(IMAGE)
MASK = (PROBABILITY > 0.5).float()


def batch(truth, sources=("s",), name="t") -> Batch:
    count = len(sources)
    planes = [plane.float().expand(count, 1, 20, 60) for plane in (MASK, truth)]
    valid = torch.ones(count, 1, 20, 60, dtype=torch.bool)
    return Batch(IMAGE.expand(count, 3, 20, 60).contiguous(), *planes, valid, [name] * count, list(sources))


def errors(baseline, mask, sources, image=IMAGE) -> torch.Tensor:
    logits = baseline.assess(baseline.encode_image(image), mask, sources).quality_logits
    predicted = quality.decode(quality.probabilities(logits, mask, "free"))
    return (predicted % 2 == 1).unsqueeze(1)


@BOTH
def test_what_the_network_is_unsure_of_is_called_an_error(kind):
    baseline = kind({"s": fitted(stored(0.5, name="s"))}, ["s"], {"t": "t"})
    # The truth begins where the probability is 0.7: pixels between are wrong.
    truth = PROBABILITY > 0.7
    baseline.fit_batch(batch(truth))
    baseline.finish_fit()
    found = errors(baseline, MASK, ["s"])
    assert torch.equal(found, MASK.bool() & ~truth)
    assert baseline.table.cut[0] == 0 < baseline.table.cut[1]


@BOTH
def test_each_mask_is_judged_by_the_network_that_drew_it(kind):
    networks = {"s": fitted(stored(0.5, name="s")), "dark": fitted(stored(0.52, name="dark"))}
    baseline = kind(networks, ["s"], {"t": "t"})
    baseline.fit_batch(batch(PROBABILITY > 0.7))
    baseline.finish_fit()
    masks = MASK.expand(3, 1, 20, 60)
    shared = errors(baseline, masks, ["s", "dark", "s"])
    assert torch.equal(shared[0], shared[2]) and not torch.equal(shared[0], shared[1])
    assert torch.equal(errors(baseline, masks, ["s", "dark", "s"], IMAGE.expand(3, 3, 20, 60)), shared)


@BOTH
def test_nothing_is_learned_from_held_out_sources_or_seen_tiles(kind):
    networks = {
        "s": fitted(stored(0.5, name="s", trained_on=["t", "u"]), stored(0.5, name="s", trained_on=["u"])),
        "held_out": fitted(stored(0.5, name="held_out")),
    }
    context = BaselineContext(networks, ["s", "raw"], {"t": "t", "u": "u"})
    baseline = build_baseline(kind.name, context)
    assert [baseline.judges(source) for source in ("s", "held_out", "raw")] == [True, True, False]
    baseline.fit_batch(batch(PROBABILITY > 0.7, ["held_out", "raw"]))
    baseline.fit_batch(batch(PROBABILITY > 0.7, ["s"], name="u"))
    with pytest.raises(RequestError, match=f"{kind.name} has seen no training mask"):
        baseline.finish_fit()
    baseline.fit_batch(batch(PROBABILITY > 0.7, ["s", "held_out", "raw"]))
    baseline.finish_fit()
    assert baseline.table._counts.sum() == MASK.numel()


def test_certainty():
    probability = torch.tensor([0.0, 0.1, 0.2, 0.6, 1.0])
    confidence, entropy = (kind({}, (), {}).certainty(probability, 0.2) for kind in (Confidence, Entropy))
    assert torch.allclose(confidence, torch.tensor([1, 0.5, 0, 0.5, 1]))
    assert torch.allclose(entropy, torch.tensor([1, 0.5310, 0.2781, 0.0290, 1]), atol=1e-4)


@BOTH
def test_masks_of_others_are_refused(kind):
    baseline = kind({"s": fitted(stored(0.5, name="s"))}, ["s"], {})
    for sources, named in ((["raw"], "raw"), ((), "without a name")):
        with pytest.raises(RequestError, match=f"s, not of .*{named}"):
            errors(baseline, MASK, sources)
