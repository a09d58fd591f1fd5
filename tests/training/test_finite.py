import pytest
import torch

from segassess.errors import RequestError
from segassess.training.finite import require_finite, require_finite_weights


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training(value):
    require_finite(torch.tensor(1.0), 3)
    with pytest.raises(RequestError, match="3 steps"):
        require_finite(torch.tensor(value), 3)


def test_weights_that_are_no_numbers_are_no_result():
    network = torch.nn.Linear(2, 1)
    require_finite_weights(network)
    network.bias.data[0] = float("nan")
    with pytest.raises(RequestError, match="bias"):
        require_finite_weights(network)
