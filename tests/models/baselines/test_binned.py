import pytest
import torch

from segassess.errors import RequestError
from segassess.models.baselines.binned import ErrorTable


def plane(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def test_the_first_bins_with_the_best_iou_are_errors():
    """Inside: bin 0 all wrong, bin 1 half wrong, bin 2 right (IoU 2/3, 3/4, 3/6); outside nothing is wrong."""
    table = ErrorTable(3)
    bins = torch.tensor([[[0, 0, 1, 1, 2, 2, 0, 2]]])
    mask, truth = plane([1, 1, 1, 1, 1, 1, 0, 0]), plane([0, 0, 0, 1, 1, 1, 0, 0])
    table.count(bins, mask, truth, torch.ones_like(mask, dtype=torch.bool))
    table.finish("nothing")
    assert table.cut == (0, 2)
    odds = table.error_odds(bins, mask)[0, 0]
    assert (odds > 0).tolist() == [True] * 4 + [False] * 4
    assert odds[0] > odds[2] > 0 > odds[4]


def test_pixels_that_do_not_count_are_not_counted():
    table = ErrorTable(2)
    mask, truth = plane([1, 1]), plane([0, 0])
    bins = torch.tensor([[[0, 1]]])
    table.count(bins, mask, truth, torch.tensor([True, False]).reshape(1, 1, 1, 2))
    table.finish("nothing")
    assert table.cut == (0, 1)
    empty = ErrorTable(2)
    empty.count(bins, mask, truth, torch.zeros(1, 1, 1, 2, dtype=torch.bool))
    with pytest.raises(RequestError, match="nothing here"):
        empty.finish("nothing here")
