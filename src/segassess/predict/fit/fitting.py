"""Fit the layers of a request: each source of masks, over all its images, is one layer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from segassess.errors import InputError
from segassess.options.fit import FitSettings
from segassess.predict.fit.fitted_layer import RECORD, FittedLayer, fit_layer, load_fitted
from segassess.predict.fit.fusion import Fusion
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.fit.scene_fit import SceneFit
from segassess.predict.fit.self_confidence import LabelCounts, best_cut
from segassess.predict.scene import Source, open_scene
from segassess.predict.scene_job import SceneJudge
from segassess.predict.windows import WindowNetwork
from segassess.quality import FN, FP, TN, TP
from segassess.raster import Rendering
from segassess.raster.pairs import safe_name

log = logging.getLogger(__name__)

# Windows in which fit and assessor are compared, and every how many-th of their pixels in both directions.
_WINDOWS, _EVERY = 24, 3
# A layer with less ground or fewer objects teaches a network too little.
LEAST_PIXELS, LEAST_OBJECTS = 500_000, 30

OnStep = Callable[[str, int, int], None]


def fit_layers(
    scenes: Sequence[tuple[str, Mapping[str, Source]]],
    judge: SceneJudge,
    settings: FitSettings | None,
    folder: Path,
    device: torch.device,
    on_step: OnStep = lambda source, done, steps: None,
) -> list[dict[str, SceneFit]]:
    """Fit the layer of each source; returns for each scene the fits of its masks by source.

    Args:
        scenes: paths of images, each with its masks by source.
        judge: judges the scenes.
        settings: of the fit; None takes the networks of an earlier request.
        folder: keeps the networks, in a subfolder per source.
        device: where to train.
        on_step: gets the source, the steps done for it and their number, 0 while it is unknown.

    A layer that is too small is judged by the assessor alone, which a warning says; scenes that cannot be read are left out.
    Raises InputError if the folder lacks networks of an earlier request.
    """
    fits: list[dict[str, SceneFit]] = [{} for _ in scenes]
    folds = 0 if settings is None else settings.folds
    for source in dict.fromkeys(source for _, masks in scenes for source in masks):
        numbers = [number for number, (_, masks) in enumerate(scenes) if source in masks]
        numbers = [number for number in numbers if _readable(*scenes[number], judge.rendering)]
        if not numbers:
            continue
        alike = [LayerScene(scenes[number][0], scenes[number][1][source], number) for number in numbers]
        with Layer(alike, judge.rendering) as layer:
            if settings is not None and (reason := too_little(layer, judge.tiling.window)):
                log.warning("%s: %s, so the assessor judges it alone.", source, reason)
                continue

            def shown(fold: int, done: int, steps: int, source: str = source) -> None:
                on_step(source, fold * steps + done, folds * steps)

            if settings is None:
                fitted = load_fitted(_kept(folder, source), device)
            else:
                fitted = fit_layer(layer, settings, folder / safe_name(source), device, shown)
            fusion = find_fusion(layer, fitted, judge)
        for number in numbers:
            fits[number][source] = SceneFit(fitted, fusion, fitted.blocks(scenes[number][0]))
    return fits


def _readable(image: str, masks: Mapping[str, Source], rendering: Rendering) -> bool:
    """Whether a scene can be opened; if not, judging it will say why."""
    try:
        with open_scene(image, masks, rendering):
            return True
    except InputError:
        return False


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
    objects = 0
    for index, rows, columns in _windows(layer, window, np.random.default_rng(0), all_of_them=True):
        objects += int(scipy.ndimage.label(layer.window(index, rows, columns)[1])[1])
        if objects >= LEAST_OBJECTS:
            return None
    return f"a layer of {objects} objects is too small to learn from (at least {LEAST_OBJECTS})"


def find_fusion(layer: Layer, fitted: FittedLayer, judge: SceneJudge) -> Fusion:
    """Find, in some windows and without ground truth, how reliable layer and fit are, and where to cut."""
    counts, seen = LabelCounts(), []
    for index, rows, columns in _windows(layer, judge.tiling.window, np.random.default_rng(fitted.settings.seed)):
        pixels, mask, valid = layer.window(index, rows, columns)
        if not valid.any():
            continue
        reference = fitted.reference(fitted.blocks(layer.scenes[index].image), (rows, columns), pixels)
        counts.update(reference, mask, valid)
        assessed = _assessed(judge.network, pixels, mask)
        part = np.s_[::_EVERY, ::_EVERY]
        chosen = valid[part]
        seen.append((assessed[:, *part][:, chosen], reference[part][chosen], mask[part][chosen]))
    confidence = counts.self_confidence()
    fusion = Fusion(confidence, judge.calibration)
    probabilities, references, masks = (np.concatenate(each, axis=-1) for each in zip(*seen, strict=True))
    joined = fusion(probabilities, references)
    cuts = (best_cut(_odds(joined, FP, TP)[masks]), best_cut(_odds(joined, FN, TN)[~masks]))
    return replace(fusion, cuts=cuts)


def _windows(layer: Layer, side: int, rng: np.random.Generator, *, all_of_them: bool = False) -> list[tuple[int, slice, slice]]:
    """Windows of a layer, at random, at most `_WINDOWS` of them unless all are wanted: scene, rows and columns."""
    places = [
        (index, slice(top, min(top + side, height)), slice(left, min(left + side, width)))
        for index, (height, width) in enumerate(layer.sizes)
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]
    order = rng.permutation(len(places))
    # Many small scenes count as much as a few windows of a large one.
    area = np.cumsum([_area(places[place]) for place in order])
    most = len(places) if all_of_them else int(np.searchsorted(area, _WINDOWS * side * side)) + 1
    return [places[place] for place in order[:most]]


def _area(place: tuple[int, slice, slice]) -> int:
    _, rows, columns = place
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _assessed(network: WindowNetwork, pixels: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    features = network.encode(pixels.transpose(2, 0, 1)[None])
    return np.asarray(network.probabilities(features, mask[None, None].astype(np.float32))[0])


def _odds(probabilities: NDArray[np.float32], wrong: int, right: int) -> NDArray[np.float32]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(probabilities[wrong]) - np.log(probabilities[right]))
