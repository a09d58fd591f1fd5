"""Fit the layers of a request: each source of masks, over all its images, is one layer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import torch

from segassess.errors import InputError
from segassess.options.fit import FitSettings
from segassess.predict.fit.beside import TrainsBeside
from segassess.predict.fit.blocks import shared_origins
from segassess.predict.fit.fitted_layer import RECORD, FittedLayer, load_fitted
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.fit.rounds import fit_layer
from segassess.predict.fit.scene_fit import SceneFit
from segassess.predict.fit.training import LEAST_STEPS
from segassess.predict.fit.weighing import weigh
from segassess.predict.scene import Source, open_scene
from segassess.predict.scene_job import SceneJudge
from segassess.raster import Grid, Rendering
from segassess.raster.pairs import safe_name

log = logging.getLogger(__name__)

# With fewer steps a network has hardly learned what the objects look like.
FEW_STEPS = 80
# A layer with less ground teaches a network too little, and so does one with fewer objects, unless they are as large as a river.
LEAST_PIXELS, LEAST_OBJECTS, LEAST_FOREGROUND = 500_000, 30, 100_000

OnStep = Callable[[str, int, int], None]


def fit_layers(
    scenes: Sequence[tuple[str, Mapping[str, Source]]],
    judge: SceneJudge,
    settings: FitSettings | None,
    folder: Path,
    device: torch.device,
    on_step: OnStep = lambda source, done, steps: None,
    beside: TrainsBeside | None = None,
    groups: Sequence[int] | None = None,
) -> list[dict[str, SceneFit]]:
    """Fit the layer of each source; returns for each scene the fits of its masks by source.

    Args:
        scenes: paths of images, each with its masks by source.
        judge: judges the scenes.
        settings: of the fit; None takes the networks of an earlier request.
        folder: keeps the networks, in a subfolder per source.
        device: where to train.
        on_step: gets the source, the steps done for it and their number, 0 while it is unknown.
        beside: trains the folds of a layer side by side, which needs images that are files; None one after another.
        groups: number of the ground that each scene shows, where it is known; None leaves it to the georeference.

    A layer that is too small is judged by the assessor alone, which a warning says; scenes that cannot be read are left out.
    Raises InputError if the folder lacks networks of an earlier request.
    """
    fits: list[dict[str, SceneFit]] = [{} for _ in scenes]
    folds = 0 if settings is None else settings.folds
    for classes in _layers([masks for _, masks in scenes]):
        grids = {
            number: grid
            for number, (image, masks) in enumerate(scenes)
            if classes[0] in masks and (grid := _grid(image, masks, judge.rendering)) is not None
        }
        if not grids:
            continue
        numbers, name = list(grids), " + ".join(classes)
        if groups is None:
            # On ground that is shared the place decides, elsewhere each scene is a group.
            origins = shared_origins(list(grids.values()))
            places = [(number if origin is None else 0, origin) for number, origin in zip(numbers, origins, strict=True)]
        else:
            places = [(groups[number], None) for number in numbers]
        alike = [
            LayerScene(scenes[number][0], tuple(scenes[number][1][each] for each in classes), *place)
            for number, place in zip(numbers, places, strict=True)
        ]
        with Layer(alike, judge.rendering, classes) as layer:
            if settings is not None and (reason := too_little(layer, judge.tiling.window)):
                log.warning("%s: %s, so the assessor judges it alone.", name, reason)
                continue

            trained: dict[int, tuple[int, int]] = {}

            def shown(fold: int, done: int, steps: int, name: str = name, trained: dict[int, tuple[int, int]] = trained) -> None:
                trained[fold] = done, steps
                done, steps = (sum(each) for each in zip(*trained.values(), strict=True))
                on_step(name, done, steps * folds // len(trained))

            if settings is None:
                place, fitted = None, load_fitted(_kept(folder, name), device)
            else:
                place = folder / safe_name(name)
                fitted = fit_layer(layer, settings, place, device, shown, beside)
                _warn_of_few_steps(name, settings, [done for done, _ in trained.values()])
            outputs = [_output(fitted, each) for each in classes]
            fusions = weigh(layer, fitted, outputs, judge, place)
        for number in numbers:
            blocks = fitted.blocks(scenes[number][0])
            for source, fusion, output in zip(classes, fusions, outputs, strict=True):
                fits[number][source] = SceneFit(fitted, fusion, blocks, output)
    return fits


def _layers(scenes: Sequence[Mapping[str, Source]]) -> list[list[str]]:
    """Sources that are one layer: the classes of the same rasters, which one network learns, or one source alone."""
    layers: dict[Any, list[str]] = {}
    for source in dict.fromkeys(source for masks in scenes for source in masks):
        found = [(number, masks[source]) for number, masks in enumerate(scenes) if source in masks]
        is_class = all(mask.label is not None for _, mask in found)
        layers.setdefault(tuple((number, mask.path) for number, mask in found) if is_class else source, []).append(source)
    return list(layers.values())


def _output(fitted: FittedLayer, source: str) -> int:
    """Number of the output for a source; networks of another layer with one output serve for any."""
    if len(fitted.classes) == 1:
        return 0
    if source not in fitted.classes:
        raise InputError(f"The networks have learned {', '.join(fitted.classes)}, not {source}.")
    return list(fitted.classes).index(source)


def _warn_of_few_steps(name: str, settings: FitSettings, steps: Sequence[int]) -> None:
    if settings.steps is None and steps and min(steps) < FEW_STEPS:
        log.warning(
            "%s: each network learned for %d steps (%d at least, however long they take), and fewer than %d teach little; "
            "set a larger fit.minutes.",
            name,
            min(steps),
            LEAST_STEPS,
            FEW_STEPS,
        )


def _grid(image: str, masks: Mapping[str, Source], rendering: Rendering) -> Grid | None:
    """The grid of a scene; None if it cannot be opened, and judging it will say why."""
    try:
        with open_scene(image, masks, rendering) as scene:
            return scene.grid
    except InputError:
        return None


def kept_folder(folder: Path) -> Path:
    """The folder of the networks of an earlier request, given that or its results; raises InputError if there are none."""
    for each in (folder, folder / "fit"):
        if (each / RECORD).is_file() or any(each.glob(f"*/{RECORD}")):
            return each
    what = "holds no complete fit" if folder.is_dir() else "does not exist"
    raise InputError(f"{folder} {what}; give the folder `fit` of an earlier result.")


def _kept(folder: Path, source: str) -> Path:
    """Folder of a source's networks, of the only source's, or of the networks themselves."""
    kept = [path.parent for path in sorted(folder.glob(f"*/{RECORD}"))]
    own = folder / safe_name(source)
    return own if own in kept else kept[0] if len(kept) == 1 else folder


def too_little(layer: Layer, window: int) -> str | None:
    """Why a layer is too small to learn from, the beginning of a sentence; None if it is large enough."""
    pixels = sum(height * width for height, width in layer.sizes)
    if pixels < LEAST_PIXELS:
        return f"a layer of {pixels:,} pixels is too small to learn from (at least {LEAST_PIXELS:,})"
    objects = area = 0
    for index, rows, columns in layer.windows(window, np.random.default_rng(0)):
        _, foreground, _ = layer.window(index, rows, columns)
        objects += sum(int(scipy.ndimage.label(each)[1]) for each in foreground)
        area += int(foreground.sum())
        if objects >= LEAST_OBJECTS or area >= LEAST_FOREGROUND:
            return None
    return (
        f"a layer of {objects} objects and {area:,} pixels of foreground is too small to learn from "
        f"(at least {LEAST_OBJECTS} objects or {LEAST_FOREGROUND:,} pixels)"
    )
