import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from torch.nn import functional as F

from segassess import quality
from segassess.errors import CheckpointError, ConfigError
from segassess.models.baselines.sam_agreement import SamAgreement, load_sam, prompts
from segassess.quality import FP, TN
from tests.models.baselines.stubs import tiny_sam

MASK = torch.zeros(1, 1, 40, 60)
MASK[..., 5:15, 10:30] = 1
MASK[..., 30:34, 44:50] = 1


@pytest.fixture
def baseline():
    torch.manual_seed(0)
    sam = tiny_sam().requires_grad_(False)
    for parameter in sam.mask_decoder.parameters():
        parameter.mul_(3 if parameter.ndim > 1 else 1)  # otherwise all questions get the same answer
    return SamAgreement(sam)


def test_the_truth_is_what_sam_answers_to_the_components(baseline):
    """The same questions asked by way of the package's own predictor."""
    image = F.interpolate(torch.rand(1, 3, 5, 8), (40, 60), mode="bilinear")
    predictor = SamPredictor(baseline.sam)
    resized = F.interpolate(image * 255, (43, 64), mode="bilinear", antialias=True)
    predictor.set_torch_image(resized, (40, 60))
    answers = []
    for box, point in (([10, 5, 29, 14], [14, 9]), ([44, 30, 49, 33], [45, 31])):
        answer, _, _ = predictor.predict(np.array([point]), np.array([1]), np.array(box), None, False, return_logits=True)
        answers.append(answer[0])
    # Random weights find everything or nothing at SAM's own threshold.
    baseline.sam.mask_threshold = float(np.median(answers[0]))
    truth = torch.from_numpy(np.maximum(*answers) > baseline.sam.mask_threshold)
    output = baseline.assess(baseline.encode_image(image), MASK)
    found = quality.decode(quality.probabilities(output.quality_logits, MASK, "free"))
    assert torch.equal((found[0] == quality.TP) | (found[0] == quality.FN), truth)
    assert 0.2 < truth.float().mean() < 0.8
    assert all(not np.array_equal(answer > baseline.sam.mask_threshold, truth) for answer in answers)


def test_an_empty_mask_is_right_everywhere(baseline):
    empty = torch.zeros(2, 1, 40, 60)
    output = baseline.assess(baseline.encode_image(torch.rand(1, 3, 40, 60)), empty)
    assert (quality.decode(output.quality_logits.softmax(1)) == TN).all()


def test_components_beyond_the_limit_are_taken_as_right(baseline, monkeypatch):
    monkeypatch.setattr(baseline.sam, "mask_threshold", 1e6)  # SAM finds nothing
    monkeypatch.setattr("segassess.models.baselines.sam_agreement.prompts", lambda mask: prompts(mask, limit=1))
    output = baseline.assess(baseline.encode_image(torch.rand(1, 3, 40, 60)), MASK)
    wrong = quality.decode(output.quality_logits.softmax(1))[0] == FP
    assert wrong[5:15, 10:30].all() and not wrong[30:34, 44:50].any()


def test_prompts():
    mask = MASK[0, 0].numpy() > 0
    mask[32:34, 44:47] = False  # the innermost pixel of what is left is not that of its box
    boxes, points, rest = prompts(mask)
    assert boxes.tolist() == [[10, 5, 29, 14], [44, 30, 49, 33]] and not rest.any()
    assert all(mask[int(y), int(x)] for x, y in points)
    assert points[1].tolist() == [48, 31]
    boxes, points, rest = prompts(mask, limit=1)
    assert len(boxes) == len(points) == 1 and np.array_equal(rest, mask & (np.arange(60) > 40))


def test_a_checkpoint_is_loaded_whole_or_refused_in_one_sentence(tmp_path, tiny_sam_type):
    sam = tiny_sam()
    path = tmp_path / "sam.pth"
    torch.save(sam.state_dict(), path)
    loaded = load_sam(path, tiny_sam_type)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in sam.state_dict().items())
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    with pytest.raises(CheckpointError, match=r"nothing\.pth does not exist"):
        load_sam(tmp_path / "nothing.pth", tiny_sam_type)
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"no checkpoint of Segment Anything's vit_tiny; .*sam\.type .*vit_b"):
        load_sam(path, tiny_sam_type)
    with pytest.raises(ConfigError, match=r"sam\.type must be one of vit_h, vit_l, vit_b.*'vit_xl'"):
        load_sam(path, "vit_xl")
