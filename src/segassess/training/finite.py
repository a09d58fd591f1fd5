"""A training that diverges stops at once, and its weights are never taken for a result."""

import torch
from torch import Tensor, nn

from segassess.errors import RequestError


def require_finite(loss: Tensor, step: int) -> None:
    """Stop a training whose loss is NaN or infinite.

    Raises:
        RequestError: says what to change; the checkpoints written before can be resumed.
    """
    if not torch.isfinite(loss):
        raise RequestError(
            f"The loss is {float(loss)} after {step} steps; lower optimizer.factory.lr or set trainer.gradient_clip_val."
        )


def require_finite_weights(network: nn.Module) -> None:
    """Refuse a trained network with weights that are no numbers.

    Raises:
        RequestError: names the first such weight.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise RequestError(f"The trained weight {name} is not finite; lower optimizer.factory.lr and train again.")
