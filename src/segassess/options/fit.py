"""Learning from the layer under test."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from segassess.options.checking import Settings
from segassess.options.option import REQUIRED, option


@dataclass(frozen=True)
class FitSettings(Settings):
    """How networks learn from the layer under test (docs/how-to/check-any-layer.md)."""

    KEY: ClassVar = "fit"

    name: Literal["layer"] = option("Fixed by this file; choose with fit=none, fit=layer or fit=kept.", "layer")
    minutes: float | None = option(
        "Time to train in, about, but for 26 steps of each fold at least; null takes half a minute per megapixel, from 1 to 6.",
        None,
        above=0,
    )
    steps: int | None = option(
        "Training steps of each fold, in all rounds, instead of `minutes`; for results that can be repeated.", None, low=2
    )
    rounds: int | None = option(
        "Rounds of training that share time and steps; each leaves out the labels that networks of the one before contradict; "
        "null takes 2 from 250 steps or 4 minutes on, and 1 for less.",
        None,
        low=1,
        high=5,
    )
    folds: int = option("Number of networks; each judges the ground that it did not learn from.", 2, low=2, high=10)
    block_px: int = option("Side of the blocks of ground, in pixels, that are dealt to the folds.", 512, low=32)
    guard_px: int = option("Networks do not learn so near to the ground that they judge, in pixels.", 32, low=0, high=256)
    scale: float = option("Size of the image that the networks see; 0.5 halves height and width.", 0.5, above=0, high=1)
    crop: int = option("Side of the crops to learn from, in pixels of the scaled image.", 160, low=64, multiple=32)
    batch_size: int = option("Crops per step.", 8, low=2)
    learning_rate: float = option("Largest learning rate.", 1e-3, above=0)
    errors: Literal["auto", "objects", "anywhere"] = option(
        "Whether the layer's errors are whole objects, as in a drawn layer, or anywhere, as in a network's mask; "
        "auto takes polygons for a drawn layer.",
        "auto",
    )
    seed: int = option("Seed of crops and first weights.", 42, low=0)


@dataclass(frozen=True, kw_only=True)
class NoFit:
    """Judge with the assessor alone."""

    name: Literal["none"] = option("Fixed by this file; choose with fit=none, fit=layer or fit=kept.")


@dataclass(frozen=True, kw_only=True)
class KeptFit:
    """Judge with networks of an earlier run."""

    name: Literal["kept"] = option("Fixed by this file; choose with fit=none, fit=layer or fit=kept.")
    folder: str = option("Folder `fit` of the results of an earlier run.", REQUIRED, path=True)


FitOptions: TypeAlias = NoFit | FitSettings | KeptFit
# An evaluation learns for itself.
EvaluatedFitOptions: TypeAlias = NoFit | FitSettings
