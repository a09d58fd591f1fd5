"""Weigh fit and assessor against each other, in some windows of a layer that are damaged on purpose; no ground truth."""

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segassess.files import write_json
from segassess.models.calibration import Calibration
from segassess.predict.fit.evidence import PLANES, assessor_evidence, fit_means
from segassess.predict.fit.fitted_layer import FittedLayer
from segassess.predict.fit.fusion import Damage, Fusion, find_weights
from segassess.predict.fit.layer import Layer
from segassess.predict.fit.self_confidence import LabelCounts, SelfConfidence, best_cut
from segassess.predict.scene_job import SceneJudge
from segassess.raster.vectors import is_vector
from segassess.synthetic.perturbations import RECIPES, perturb

log = logging.getLogger(__name__)

# Windows in which fit and assessor are compared, and every how many-th of their pixels in both directions.
_WINDOWS, _EVERY = 24, 3
# How the layer is damaged: one that errs by objects, and one that errs anywhere.
_BY_OBJECTS, _ANYWHERE = ("perturbed_objects",), ("perturbed_objects", "perturbed")
# Planes of each drawn mask: itself, the assessor's evidence and the means of the fit's.
_DRAWN = 2 * PLANES
# Raised when weighing changes, so that what is kept is found anew.
_RULE = 2
# File that says how to join.
FUSIONS = "fusions.json"


def weigh(layer: Layer, fitted: FittedLayer, outputs: Sequence[int], judge: SceneJudge, folder: Path | None) -> list[Fusion]:
    """How to join fit and assessor for each class of a layer, whose outputs the networks have at these numbers.

    With a `folder`, the answer is kept there for the next request, or other processes of this one, that ask the same.
    """
    about = [_RULE, judge.tags, asdict(judge.calibration), judge.tiling.window, fitted.digest, layer.fingerprint(fitted.settings)]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    path = None if folder is None else folder / FUSIONS
    if path is not None:
        # None there yet, or of another version.
        with suppress(OSError, ValueError, TypeError, KeyError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["key"] == key:
                return [Fusion.from_dict(each) for each in content["fusions"]]
    fusions = find_fusions(layer, fitted, outputs, judge)
    if path is not None:
        write_json(path, {"key": key, "fusions": [asdict(each) for each in fusions]})
    return fusions


def find_fusions(layer: Layer, fitted: FittedLayer, outputs: Sequence[int], judge: SceneJudge) -> list[Fusion]:
    """Find, in some windows, how reliable layer, fit and assessor are here, and where to cut; for each class of the layer.

    The layer is damaged in these windows, and assessor and fit get weights by how well they find that. The fit has not learned
    from these places, so for it the damage is one error more among the layer's own.
    """
    rng = np.random.default_rng(fitted.settings.seed)
    # A drawn layer errs by objects; a network errs in its own ways.
    errors = fitted.settings.errors
    objects = errors == "objects" or (errors == "auto" and is_vector(layer.scenes[0].masks[0].path))
    recipes = _BY_OBJECTS if objects else _ANYWHERE
    counts = [LabelCounts() for _ in outputs]
    seen: list[list[NDArray[np.float32]]] = [[] for _ in outputs]
    side = judge.tiling.window
    for index, rows, columns in layer.windows(side, rng, _WINDOWS * side * side):
        pixels, masks, valid = layer.window(index, rows, columns)
        if not valid.any():
            continue
        references = fitted.reference(fitted.blocks(layer.scenes[index].image), (rows, columns), pixels)
        bytes_ = np.rint(pixels * 255).astype(np.uint8)
        drawn = [masks, *(np.stack([perturb(mask, bytes_, rng, RECIPES[recipe]) for mask in masks]) for recipe in recipes)]
        said = _assessed(judge, pixels, np.concatenate(drawn))
        part = np.s_[::_EVERY, ::_EVERY]
        chosen = valid[part]
        for number, (mask, output) in enumerate(zip(masks, outputs, strict=True)):
            counts[number].update(references[output], mask, valid)
            planes = [references[output]]
            for kind, of_kind in enumerate(drawn):
                inside = of_kind[number]
                evidence = assessor_evidence(said[kind * len(masks) + number], inside)
                planes += [inside, *evidence, *fit_means(references[output], inside)]
            seen[number].append(np.stack([plane[part][chosen].astype(np.float32) for plane in planes]))
    fusions = []
    for name, of_class, found in zip(layer.classes, counts, seen, strict=True):
        of_all = np.concatenate([np.zeros((1 + _DRAWN * (1 + len(recipes)), 0), np.float32), *found], axis=1)
        fusion = _fusion(of_all, of_class.self_confidence(), judge.calibration)
        log.info(
            "%s: log-odds of FP are %.2f times the assessor's and %.2f times the fit's, of FN %.2f and %.2f times.",
            name,
            fusion.fp.assessor,
            fusion.fp.fit,
            fusion.fn.assessor,
            fusion.fn.fit,
        )
        fusions.append(fusion)
    return fusions


def _fusion(planes: NDArray[np.float32], confidence: SelfConfidence, calibration: Calibration) -> Fusion:
    """How to join, from planes of N pixels: the reference map, and `_DRAWN` of the layer's own mask.

    The latter follow again for each kind of damage: by objects, and anywhere if the layer errs so.
    """
    reference, drawn = planes[0], planes[1:].reshape(-1, _DRAWN, planes.shape[1])
    masks = drawn[:, 0] > 0
    # By kind of mask, the layer's own first, what there is of each class of error.
    told: list[list[Damage]] = [[] for _ in masks]
    for error, fitted in enumerate(confidence.log_odds(reference)):
        # FP are inside the mask, FN outside it.
        for of_kind, mask, of_mask, side in zip(told, masks, drawn, masks == (error == 0), strict=True):
            evidence = np.concatenate([of_mask[1 : PLANES + 1], fitted[None], of_mask[PLANES + 1 :]])
            of_kind.append((evidence[:, side], (mask != masks[0])[side]))
    own = [evidence for evidence, _ in told[0]]
    weights = find_weights(own, *told[1:])
    cuts = [best_cut(found(evidence)) for found, evidence in zip(weights, own, strict=True)]
    return Fusion(confidence, calibration, weights[0], weights[1], (cuts[0], cuts[1]))


def _assessed(judge: SceneJudge, pixels: NDArray[np.float32], masks: NDArray[np.bool_]) -> list[NDArray[np.float32]]:
    """Calibrated quality probabilities (4, h, w) of masks (K, h, w)."""
    features = judge.network.encode(pixels.transpose(2, 0, 1)[None])
    probabilities = judge.network.probabilities(features, masks[:, None].astype(np.float32))
    return [judge.calibration.of_array(each) for each in probabilities]
