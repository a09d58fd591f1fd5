"""Stop a diverging training and never keep its weights."""

import torch
from torch import Tensor, nn

from segassess.errors import RequestError


def require_finite(loss: Tensor, step: int) -> None:
    """Raise RequestError if the loss is NaN or infinite."""
    if not torch.isfinite(loss):
        raise RequestError(
            f"The loss is {float(loss)} after {step} steps; lower optimizer.factory.lr or set trainer.gradient_clip_val."
        )


def require_finite_weights(network: nn.Module) -> None:
    """Raise RequestError, naming the first weight that is NaN or infinite."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise RequestError(f"The trained weight {name} is not finite; lower optimizer.factory.lr and train again.")
