"""Learn a layer in rounds: each after the first leaves out the labels that the networks before it contradict."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from segassess.files import only_one, remove_leftovers, write_json
from segassess.options.fit import FitSettings
from segassess.predict.fit.beside import OnFold, TrainsBeside
from segassess.predict.fit.fitted_layer import RECORD, FittedLayer, image_key, load_fitted
from segassess.predict.fit.folds import Folds
from segassess.predict.fit.layer import Layer
from segassess.predict.fit.training import default_minutes

# From so many steps or minutes on there are two rounds. In less, networks started anew learn too little.
_STEPS, _MINUTES = 250, 4.0
# Folder of the networks of a round before the last.
_ROUND = "round_{}"


def fit_layer(
    layer: Layer,
    settings: FitSettings,
    folder: Path,
    device: torch.device,
    on_step: OnFold = lambda fold, done, steps: None,
    beside: TrainsBeside | None = None,
) -> FittedLayer:
    """Train a network for each fold of a layer, and keep them in a folder; folds that are there already are loaded.

    An interrupted fold goes on where its state was kept; what is there of another edition of the layer or of other settings is
    replaced. `beside` trains the folds side by side, which needs images that are files.
    """
    pixels = sum(height * width for height, width in layer.sizes)
    minutes = settings.minutes or default_minutes(pixels)
    rounds = rounds_of(settings, minutes)
    minutes /= rounds
    of_round = replace(settings, steps=None if settings.steps is None else max(1, settings.steps // rounds))
    fingerprint, before = layer.fingerprint(settings), dict.fromkeys(range(settings.folds), 0)
    with only_one(folder, wait=True):
        remove_leftovers(folder)
        # The rounds before the last serve to train the last one.
        last = Folds(layer.scenes, layer.rendering, layer.classes, of_round, folder, fingerprint, device)
        earlier: Path | None = None
        for number in range(1, rounds) if last.missing() else ():
            place = folder / _ROUND.format(number)
            place.mkdir(parents=True, exist_ok=True)
            folds = replace(last, folder=place, fingerprint=f"{fingerprint} {number}", earlier=earlier)
            folds.train(minutes, beside, _counted(on_step, before, rounds - number + 1))
            _record(place, layer, settings)
            earlier = place
        replace(last, earlier=earlier).train(minutes, beside, _counted(on_step, before, 1))
        _record(folder, layer, settings)
        for number in range(1, rounds):
            shutil.rmtree(folder / _ROUND.format(number), ignore_errors=True)
    return load_fitted(folder, device)


def rounds_of(settings: FitSettings, minutes: float) -> int:
    """Number of rounds of a fit that may take so many minutes."""
    if settings.rounds is not None:
        return settings.rounds
    enough = minutes >= _MINUTES if settings.steps is None else settings.steps >= _STEPS
    return 2 if enough else 1


def _record(folder: Path, layer: Layer, settings: FitSettings) -> None:
    grounds = {image_key(scene.image): asdict(scene.blocks(settings)) for scene in layer.scenes}
    write_json(folder / RECORD, {"settings": asdict(settings), "classes": layer.classes, "grounds": grounds})


def _counted(on_step: OnFold, before: dict[int, int], left: int) -> Callable[[int, int, int], None]:
    """Reports the steps of all rounds, of which so many are left with this one.

    `before` holds the steps of the rounds before, by fold, and is brought up to date. While this round's number of steps is
    unknown it is taken to be what has been done of it, but for the first round, whose reports have 0.
    """
    ended = dict(before)

    def report(fold: int, done: int, steps: int) -> None:
        before[fold] = ended[fold] + done
        on_step(fold, before[fold], ended[fold] + left * (steps or done) if steps or ended[fold] else 0)

    return report
