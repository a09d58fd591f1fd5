import math

import numpy as np
import pytest
import torch

from segassess.findings.scores import SCORE_COLUMNS, estimated_scores
from segassess.metrics.expected_counts import ExpectedCounts
from segassess.outputs.tables import write_scores

VALID = np.ones((2, 5), bool)


def scores_of(probabilities, valid, **options):
    return estimated_scores(ExpectedCounts.of(probabilities, valid), **options)


def certain(codes):
    """Probabilities of 1 for the given codes."""
    return np.stack([np.asarray(codes) == code for code in range(4)]).astype(np.float32)


CODES = np.array([[0, 0, 0, 1, 3], [2, 2, 2, 2, 3]])


def test_certain_counts():
    scores = scores_of(certain(CODES), VALID)
    assert scores["estimated_iou"] == pytest.approx(3 / 6)
    assert scores["estimated_f1"] == pytest.approx(6 / 9)
    assert scores["estimated_precision"] == pytest.approx(3 / 4)
    assert scores["estimated_recall"] == pytest.approx(3 / 5)
    assert scores["error_share"] == pytest.approx(0.3) and scores["error_area_px"] == pytest.approx(3)
    assert math.isnan(scores["error_area_m2"])
    assert set(scores) == set(SCORE_COLUMNS[2:])


def test_area():
    assert scores_of(certain(CODES), VALID, pixel_area_m2=0.25)["error_area_m2"] == pytest.approx(0.75)


def test_what_is_not_valid_does_not_count():
    valid = VALID.copy()
    valid[:, 4] = False
    probabilities = certain(CODES)
    probabilities[:, 1, 4] = np.nan
    scores = scores_of(probabilities, valid)
    assert scores["estimated_iou"] == pytest.approx(3 / 4) and scores["error_share"] == pytest.approx(1 / 8)


def test_nan_does_not_count():
    probabilities = certain(CODES)
    probabilities[1, 0, 0] = np.nan
    scores = scores_of(probabilities, VALID)
    assert scores["estimated_iou"] == pytest.approx(2 / 5) and scores["error_share"] == pytest.approx(3 / 9)


def test_nothing_to_count():
    empty = scores_of(certain(np.full((2, 5), 2)), VALID)
    assert math.isnan(empty["estimated_iou"]) and math.isnan(empty["estimated_precision"]) and empty["error_share"] == 0
    assert math.isnan(scores_of(certain(CODES), ~VALID)["error_share"])


def test_tensors_and_the_formula():
    probabilities = torch.randn(4, 30, 40, generator=torch.Generator().manual_seed(0)).softmax(0)
    valid = torch.rand(30, 40, generator=torch.Generator().manual_seed(1)) > 0.3
    scores = scores_of(probabilities.clone().requires_grad_(), valid)
    tp, fp, _, fn = (probabilities.double() * valid).sum(dim=(1, 2)).tolist()
    assert scores["estimated_iou"] == pytest.approx(tp / (tp + fp + fn), abs=1e-6)
    assert scores["error_area_px"] == pytest.approx(fp + fn)
    assert scores_of(probabilities.bfloat16(), valid)["estimated_iou"] == pytest.approx(scores["estimated_iou"], abs=1e-3)


def test_parts_add_up():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), (6, 5)).transpose(2, 0, 1)
    valid = np.random.default_rng(1).random((6, 5)) > 0.2
    top, bottom = (ExpectedCounts.of(probabilities[:, rows], valid[rows]) for rows in (slice(0, 2), slice(2, 6)))
    whole, parts = ExpectedCounts.of(probabilities, valid), ExpectedCounts() + top + bottom
    assert vars(parts) == pytest.approx(vars(whole)) and parts.iou == pytest.approx(whole.iou)


@pytest.mark.parametrize(("probabilities", "valid"), [((3, 2, 5), (2, 5)), ((4, 2, 5), (5, 2)), ((1, 4, 2, 5), (2, 5))])
def test_shapes(probabilities, valid):
    with pytest.raises(ValueError, match=r"must be \(4, H, W\)"):
        scores_of(np.zeros(probabilities), np.ones(valid, bool))


class TestTable:
    def rows(self, tmp_path):
        return [line.split(",") for line in (tmp_path / "scores.csv").read_text().splitlines()]

    def test_worst_first(self, tmp_path):
        rows = [
            {"name": "unknown", "source": "a", "estimated_iou": math.nan, "error_share": 0.0},
            {"name": "good", "source": "a", "estimated_iou": 0.9, "error_share": 0.1},
            {"name": "empty", "source": "a", "estimated_iou": 0.0, "error_share": 1e-6},
            {"name": "wrong", "source": "b", "estimated_iou": 0.0, "error_share": 0.7},
            {"name": "bad", "source": "a", "estimated_iou": 0.25, "error_share": 0.5},
        ]
        write_scores(tmp_path / "scores.csv", iter(rows))
        table = self.rows(tmp_path)
        assert tuple(table[0]) == SCORE_COLUMNS
        assert [row[0] for row in table[1:]] == ["wrong", "empty", "bad", "good", "unknown"]

    def test_cells(self, tmp_path):
        scores = scores_of(certain(CODES), VALID)
        write_scores(tmp_path / "scores.csv", [{"name": "a", "source": "raw", **scores, "error_area_px": np.float32(21467.71)}])
        assert self.rows(tmp_path)[1] == ["a", "raw", "0.5", "0.666667", "0.75", "0.6", "0.3", "21467.7", ""]

    def test_no_rows(self, tmp_path):
        write_scores(tmp_path / "scores.csv", [])
        assert self.rows(tmp_path) == [list(SCORE_COLUMNS)]

    def test_other_columns_leave_the_old_table(self, tmp_path):
        write_scores(tmp_path / "scores.csv", [])
        with pytest.raises(ValueError, match="iou"):
            write_scores(tmp_path / "scores.csv", [{"name": "a", "iou": 0.5}])
        assert self.rows(tmp_path) == [list(SCORE_COLUMNS)] and len(list(tmp_path.iterdir())) == 1
