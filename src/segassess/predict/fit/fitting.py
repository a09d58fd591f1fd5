"""Fit the layers of a request: each source of masks, over all its images, is one layer."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from segassess.errors import InputError
from segassess.files import write_json
from segassess.options.fit import FitSettings
from segassess.predict.fit.blocks import shared_origins
from segassess.predict.fit.fitted_layer import RECORD, FittedLayer, fit_layer, load_fitted
from segassess.predict.fit.fusion import Fusion, Weights, assessed_odds, own_errors
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.fit.scene_fit import SceneFit
from segassess.predict.fit.self_confidence import LabelCounts, best_cut
from segassess.predict.scene import Source, open_scene
from segassess.predict.scene_job import SceneJudge
from segassess.raster import Grid, Rendering
from segassess.raster.pairs import safe_name
from segassess.raster.vectors import is_vector
from segassess.synthetic.perturbations import RECIPES, perturb

log = logging.getLogger(__name__)

# Windows in which fit and assessor are compared, and every how many-th of their pixels in both directions.
_WINDOWS, _EVERY = 24, 3
# Mask, damaged mask, reference map, and log-odds of FP and of FN of the first and of the second.
_PLANES = 7
# How the layer is damaged to weigh fit and assessor.
_DAMAGE = "perturbed_objects"
# With fewer steps a network has hardly learned what the objects look like.
FEW_STEPS = 80
# A layer with less ground or fewer objects teaches a network too little.
LEAST_PIXELS, LEAST_OBJECTS = 500_000, 30

# File that says how to join.
FUSION = "fusion.json"

OnStep = Callable[[str, int, int], None]


def fit_layers(
    scenes: Sequence[tuple[str, Mapping[str, Source]]],
    judge: SceneJudge,
    settings: FitSettings | None,
    folder: Path,
    device: torch.device,
    on_step: OnStep = lambda source, done, steps: None,
    workers: int = 1,
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
        workers: processes to train the folds of a layer in; several need images that are files.
        groups: number of the ground that each scene shows, where it is known; None leaves it to the georeference.

    A layer that is too small is judged by the assessor alone, which a warning says; scenes that cannot be read are left out.
    Raises InputError if the folder lacks networks of an earlier request.
    """
    fits: list[dict[str, SceneFit]] = [{} for _ in scenes]
    folds = 0 if settings is None else settings.folds
    for source in dict.fromkeys(source for _, masks in scenes for source in masks):
        grids = {
            number: grid
            for number, (image, masks) in enumerate(scenes)
            if source in masks and (grid := _grid(image, masks, judge.rendering)) is not None
        }
        if not grids:
            continue
        numbers = list(grids)
        if groups is None:
            # On ground that is shared the place decides, elsewhere each scene is a group.
            origins = shared_origins(list(grids.values()))
            places = [(number if origin is None else 0, origin) for number, origin in zip(numbers, origins, strict=True)]
        else:
            places = [(groups[number], None) for number in numbers]
        alike = [
            LayerScene(scenes[number][0], scenes[number][1][source], *place)
            for number, place in zip(numbers, places, strict=True)
        ]
        with Layer(alike, judge.rendering) as layer:
            if settings is not None and (reason := too_little(layer, judge.tiling.window)):
                log.warning("%s: %s, so the assessor judges it alone.", source, reason)
                continue

            trained: dict[int, tuple[int, int]] = {}

            def shown(
                fold: int, done: int, steps: int, source: str = source, trained: dict[int, tuple[int, int]] = trained
            ) -> None:
                trained[fold] = done, steps
                done, steps = (sum(each) for each in zip(*trained.values(), strict=True))
                on_step(source, done, steps * folds // len(trained))

            if settings is None:
                fitted = load_fitted(_kept(folder, source), device)
            else:
                fitted = fit_layer(layer, settings, folder / safe_name(source), device, shown, workers)
                steps = min((done for done, _ in trained.values()), default=FEW_STEPS)
                if settings.steps is None and steps < FEW_STEPS:
                    log.warning(
                        "%s: the time was enough for %d steps of each network, and fewer than %d teach little; set a larger "
                        "fit.minutes.",
                        source,
                        steps,
                        FEW_STEPS,
                    )
            kept = None if settings is None else folder / safe_name(source)
            fusion = _fusion(layer, fitted, judge, kept)
        for number in numbers:
            fits[number][source] = SceneFit(fitted, fusion, fitted.blocks(scenes[number][0]))
    return fits


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
    objects = 0
    for index, rows, columns in _windows(layer, window, np.random.default_rng(0), all_of_them=True):
        foreground, _ = layer.scene(index).masks[layer.name].read(rows, columns)
        objects += int(scipy.ndimage.label(foreground)[1])
        if objects >= LEAST_OBJECTS:
            return None
    return f"a layer of {objects} objects is too small to learn from (at least {LEAST_OBJECTS})"


def _fusion(layer: Layer, fitted: FittedLayer, judge: SceneJudge, folder: Path | None) -> Fusion:
    """How to join, kept in a folder for the next request, or for other processes of this one, that asks the same."""
    about = [judge.tags, asdict(judge.calibration), judge.tiling.window, fitted.digest, layer.fingerprint(fitted.settings)]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    path = None if folder is None else folder / FUSION
    if path is not None:
        # None there yet, or of another version.
        with suppress(OSError, ValueError, TypeError, KeyError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["key"] == key:
                return Fusion.from_dict(content["fusion"])
    fusion = find_fusion(layer, fitted, judge)
    if path is not None:
        write_json(path, {"key": key, "fusion": asdict(fusion)})
    return fusion


def find_fusion(layer: Layer, fitted: FittedLayer, judge: SceneJudge) -> Fusion:
    """Find, in some windows and without ground truth, how reliable layer, fit and assessor are here, and where to cut.

    The layer is damaged in these windows, and assessor and fit get weights by how well they find that. The fit has not learned
    from these places, so for it the damage is one error more among the layer's own.
    """
    rng = np.random.default_rng(fitted.settings.seed)
    counts, seen = LabelCounts(), []
    for index, rows, columns in _windows(layer, judge.tiling.window, rng):
        pixels, mask, valid = layer.window(index, rows, columns)
        if not valid.any():
            continue
        reference = fitted.reference(fitted.blocks(layer.scenes[index].image), (rows, columns), pixels)
        counts.update(reference, mask, valid)
        damaged = perturb(mask, np.rint(pixels * 255).astype(np.uint8), rng, RECIPES[_DAMAGE])
        assessed = _assessed(judge, pixels, np.stack([mask, damaged]))
        part = np.s_[::_EVERY, ::_EVERY]
        chosen = valid[part]
        both = (mask, damaged, reference, *assessed[0], *assessed[1])
        seen.append(np.stack([plane[part][chosen].astype(np.float32) for plane in both]))
    confidence = counts.self_confidence()
    planes = np.concatenate([np.zeros((_PLANES, 0), np.float32), *seen], axis=1)
    masked, drawn, reference, false, missing, false_drawn, missing_drawn = planes
    mask, damaged = masked > 0, drawn > 0
    fitted_false, fitted_missing = confidence.log_odds(reference)
    # A drawn layer errs by objects, as the damage does; a network errs in its own ways.
    errors = fitted.settings.errors
    objects = errors == "objects" or (errors == "auto" and is_vector(layer.scenes[0].mask.path))
    weights, cuts = [], []
    for inside, in_damaged, odds, of_damaged, of_fit in (
        (mask, damaged, false, false_drawn, fitted_false),
        (~mask, ~damaged, missing, missing_drawn, fitted_missing),
    ):
        told = of_damaged[in_damaged], of_fit[in_damaged], (mask != damaged)[in_damaged]
        own = own_errors(*told) if objects and len(told[0]) else None
        found = Weights.learned(*told).shifted_to(odds[inside], of_fit[inside], own)
        weights.append(found)
        cuts.append(best_cut(found(odds[inside], of_fit[inside])))
    false_weights, missing_weights = weights
    log.info(
        "Log-odds of FP are %.2f times the assessor's and %.2f times the fit's, of FN %.2f and %.2f times.",
        false_weights.assessor,
        false_weights.fit,
        missing_weights.assessor,
        missing_weights.fit,
    )
    return Fusion(confidence, judge.calibration, false_weights, missing_weights, (cuts[0], cuts[1]))


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


def _assessed(judge: SceneJudge, pixels: NDArray[np.float32], masks: NDArray[np.bool_]) -> list[tuple[NDArray[np.float32], ...]]:
    """Calibrated log-odds of FP and of FN (h, w) of masks (K, h, w)."""
    features = judge.network.encode(pixels.transpose(2, 0, 1)[None])
    probabilities = judge.network.probabilities(features, masks[:, None].astype(np.float32))
    return [assessed_odds(judge.calibration.of_array(each)) for each in probabilities]
