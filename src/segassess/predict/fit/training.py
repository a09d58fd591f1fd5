"""Train the network of one fold on crops of the layer; interrupted at any moment, it goes on where it was."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segassess.files import atomic_path
from segassess.interrupts import raise_if_interrupted
from segassess.options.fit import FitSettings
from segassess.predict.fit.fitted_layer import FittedLayer
from segassess.predict.fit.layer import Crops, Layer
from segassess.predict.fit.network import FitNetwork
from segassess.training.losses import dice_loss

# Share of the steps in which the learning rate rises, and after which the result is the mean of the weights.
_RISE, _AVERAGED = 0.15, 0.75
_DECAY, _DICE = 1e-2, 0.5
# Seconds between two states kept on disk; steps that are timed to turn minutes into steps.
_KEPT, _TIMED = 20.0, 6
_MEGAPIXELS_A_MINUTE, _MINUTES = 2.0, (1.0, 6.0)
LEAST_STEPS, MOST_STEPS = 26, 4000


def default_minutes(pixels: int) -> float:
    """Minutes to train in for a layer with so many pixels."""
    low, high = _MINUTES
    return min(max(pixels / 1e6 / _MEGAPIXELS_A_MINUTE, low), high)


def kept_state(file: Path, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """What `FoldTraining` kept of a layer and settings of this fingerprint; empty if it kept nothing."""
    kept: dict[str, Any] = torch.load(file, map_location=device, weights_only=True) if file.is_file() else {}
    return kept if kept.get("fingerprint") == fingerprint else {}


@dataclass
class FoldTraining:
    """The training of one fold's network; `run` may be called again after an interruption.

    Attributes:
        layer: to learn from.
        fold: whose ground the network will judge.
        settings: of the fit.
        state: file of the state to go on from.
        fingerprint: of the layer and the settings; a state of another one is not used.
        device: where to train.
        earlier: networks of the round before, which say what not to learn from.
    """

    layer: Layer
    fold: int
    settings: FitSettings
    state: Path
    fingerprint: str
    device: torch.device
    earlier: FittedLayer | None = None

    def run(self, seconds: float, on_step: Callable[[int, int], None] = lambda done, steps: None) -> FitNetwork:
        """Train for `settings.steps`, or as many steps as fit into `seconds`; `on_step` gets the steps done and their number.

        The number of steps is fixed after the first few, and kept with the state.
        """
        settings = self.settings
        torch.manual_seed(settings.seed + self.fold)
        network = FitNetwork(len(self.layer.classes), pretrained=True).to(self.device).train()
        learned = [each for each in network.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=settings.learning_rate, weight_decay=_DECAY)
        average: dict[str, Tensor] = {}
        done, steps = 0, settings.steps
        if kept := kept_state(self.state, self.fingerprint, self.device):
            network.load_state_dict(kept["network"])
            optimizer.load_state_dict(kept["optimizer"])
            average, done, steps = kept["average"], kept["done"], kept["steps"]
        contradicted = None if self.earlier is None else self.earlier.contradicted
        started = saved = time.monotonic()
        timed = 0.0
        while steps is None or done < steps:
            began = time.monotonic()
            crops = self.layer.crops(self.fold, done, settings, settings.scale, contradicted)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(done, steps)
            loss = self._loss(network, crops)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1
            if steps is not None and (number := done - math.floor(_AVERAGED * steps)) > 0:
                _average(average, network, number)
            # The first step also sets things up.
            timed = min(timed or math.inf, time.monotonic() - began) if done > 1 else 0.0
            if steps is None and done == _TIMED:
                left = seconds - (time.monotonic() - started)
                steps = done + min(max(round(left / timed), LEAST_STEPS - done), MOST_STEPS)
            on_step(done, steps or 0)
            raise_if_interrupted()
            if steps is not None and time.monotonic() - saved > _KEPT:
                self._save(network, optimizer, average, done, steps)
                saved = time.monotonic()
        network.load_state_dict(average)
        return network.eval().requires_grad_(False)

    def _loss(self, network: FitNetwork, crops: Crops) -> Tensor:
        images, masks, weights = (torch.from_numpy(each).to(self.device) for each in (crops.images, crops.masks, crops.weights))
        logits = network(images).logits
        losses = []
        for each, mask in zip(torch.split(logits, 1, dim=1), torch.split(masks, 1, dim=1), strict=True):
            entropy = torch.nn.functional.binary_cross_entropy_with_logits(each, mask, weight=weights, reduction="sum")
            losses.append(entropy / weights.sum().clamp(min=1) + _DICE * dice_loss(each.sigmoid(), mask, weights, "batch"))
        return torch.stack(losses).mean()

    def _save(
        self, network: FitNetwork, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], done: int, steps: int
    ) -> None:
        content = {"fingerprint": self.fingerprint, "network": network.state_dict(), "optimizer": optimizer.state_dict()}
        with atomic_path(self.state) as beside:
            torch.save({**content, "average": average, "done": done, "steps": steps}, beside)


def _rate(done: int, steps: int | None) -> float:
    """The learning rate as a share of the largest: a linear rise, then a fall along a cosine."""
    if steps is None:
        return (done + 1) / (2 * _TIMED)
    share = done / steps
    if share < _RISE:
        return (done + 1) / (_RISE * steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (share - _RISE) / (1 - _RISE)))


def _average(average: dict[str, Tensor], network: FitNetwork, number: int) -> None:
    """Make `average` the mean of so many weights, of which those of the network are the last."""
    for name, tensor in network.state_dict().items():
        if number == 1 or not tensor.is_floating_point():
            average[name] = tensor.clone()
        else:
            average[name].lerp_(tensor, 1 / number)
