"""Learning from the layer under test, as methods of an evaluation: the masks of a source in a region are one layer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit
from torch import Tensor

from segassess import quality
from segassess.data.batch import Batch, Sample
from segassess.data.datamodule import AssessmentData
from segassess.data.sampling import TileKey
from segassess.data.tiles import Tile
from segassess.errors import RequestError
from segassess.evaluation.methods import Candidate
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.baselines.base import Baseline
from segassess.models.calibration import Calibration
from segassess.options.fit import FitSettings
from segassess.outputs.rasters import MASK, write_raster
from segassess.predict.fit.fitting import fit_layers
from segassess.predict.fit.scene_fit import SceneFit
from segassess.predict.fit.self_confidence import best_cut
from segassess.predict.scene import Source
from segassess.predict.scene_job import SceneJudge
from segassess.raster import read_mask
from segassess.raster.pairs import safe_name

log = logging.getLogger(__name__)

# Ends the name of the assessor that is joined with the fit; the fit without an assessor; cleanlab on the same probabilities.
JOINED, ALONE, CLEANLAB = "_fit", "fit_alone", "cleanlab"
# P(object) is kept within these limits, and what is called an error at least so far from what is not, in log-odds.
_CERTAIN, _APART = 1e-4, 1e-3


@dataclass(frozen=True)
class LearnedMask:
    """What was learned of one mask.

    Attributes:
        fit: joins it with an assessor.
        reference: P(object), float16 (H, W).
        cuts: log-odds of FP and of FN above which the fit alone calls an error, of the whole layer.
        issues: bool (H, W), the label errors that cleanlab finds; None without cleanlab.
    """

    fit: SceneFit
    reference: NDArray[np.float16]
    cuts: tuple[float, float]
    issues: NDArray[np.bool_] | None


# By source and name of the tile.
LearnedMasks = Mapping[tuple[str, str], LearnedMask]


def fit_methods(
    name: str,
    loaded: LoadedAssessor,
    data: AssessmentData,
    tiles: Mapping[str, Sequence[Tile]],
    settings: FitSettings,
    folder: Path,
    device: torch.device,
    on_step: Callable[[str, int, int], None],
) -> dict[str, Candidate]:
    """Fit the layers under evaluation, and return the methods that use what was learned; no ground truth is used.

    Args:
        name: of the assessor.
        loaded: the assessor.
        data: draws the masks.
        tiles: to evaluate, by source.
        settings: of the fit.
        folder: keeps networks and made masks.
        device: where to train.
        on_step: see `fit_layers`.

    Returns the assessor joined with the fit, the fit alone, and `cleanlab` where it is installed. Where a layer is too small,
    which a warning says, the assessor's judgement is that of the first, and the others do not judge the source.
    """
    judge = SceneJudge.of(loaded, device)
    learned: dict[tuple[str, str], LearnedMask] = {}
    for source, all_tiles in tiles.items():
        for region in dict.fromkeys(tile.region for tile in all_tiles):
            samples = [
                (tile, sample)
                for tile in all_tiles
                if tile.region == region
                for sample in data.evaluation_dataset([tile], [source])[TileKey(0)]
            ]
            layer = f"{source} in {region}" if region else source
            learned |= _learned(layer, samples, judge, settings, folder, device, on_step)
    judged = [source for source in tiles if all((source, tile.name) in learned for tile in tiles[source])]
    methods = {f"{name}{JOINED}": Candidate(JoinedWithFit(loaded, learned), loaded.description.decoding)}
    methods[ALONE] = Candidate(FitAlone(learned, judged))
    if find_spec("cleanlab"):
        methods[CLEANLAB] = Candidate(CleanlabIssues(learned, judged))
    else:
        log.warning("%s is left out: it needs pip install 'segassess[compare]'.", CLEANLAB)
    return methods


def _learned(
    layer: str,
    samples: Sequence[tuple[Tile, Sample]],
    judge: SceneJudge,
    settings: FitSettings,
    folder: Path,
    device: torch.device,
    on_step: Callable[[str, int, int], None],
) -> dict[tuple[str, str], LearnedMask]:
    """Learn one layer; nothing if it is too small."""
    scenes = [(str(tile.image), {layer: Source(str(_file(folder / "masks", tile, sample)))}) for tile, sample in samples]
    ground = list(dict.fromkeys(tile.group for tile, _ in samples))
    groups = [ground.index(tile.group) for tile, _ in samples]
    found_fits = fit_layers(scenes, judge, settings, folder, device, on_step, groups=groups)
    fits = [each[layer] for each in found_fits if layer in each]
    if len(fits) < len(samples):
        return {}
    references: list[NDArray[np.float32]] = []
    odds: tuple[list[NDArray[np.float32]], ...] = ([], [])
    for (_, sample), fit in zip(samples, fits, strict=True):
        height, width = sample.mask.shape
        reference = fit.reference((slice(0, height), slice(0, width)), sample.image.astype(np.float32) / np.float32(255))
        references.append(reference)
        both = fit.fusion.confidence.log_odds(reference)
        for found, of_all, inside in zip(odds, both, (sample.mask, ~sample.mask), strict=True):
            found.append(of_all[inside & sample.valid])
    fp_cut, fn_cut = (best_cut(np.concatenate(each)) for each in odds)
    issues = _cleanlab([sample.mask for _, sample in samples], references)
    return {
        (sample.source, sample.name): LearnedMask(fit, reference.astype(np.float16), (fp_cut, fn_cut), issue)
        for (_, sample), fit, reference, issue in zip(samples, fits, references, issues, strict=True)
    }


def _file(folder: Path, tile: Tile, sample: Sample) -> Path:
    """The file of a mask; one that is made is written first."""
    if sample.source in tile.masks:
        return tile.masks[sample.source]
    path = folder / safe_name(sample.source) / f"{safe_name(tile.key)}.tif"
    # A mask that did not change keeps the networks that learned from it.
    if not path.is_file() or not np.array_equal(read_mask(path).pixels, sample.mask):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_raster(path, MASK, np.where(sample.mask, np.uint8(255), np.uint8(0)))
    return path


def _cleanlab(
    masks: Sequence[NDArray[np.bool_]], references: Sequence[NDArray[np.float32]]
) -> Sequence[NDArray[np.bool_] | None]:
    """Label errors by `cleanlab.segmentation.filter.find_label_issues` (arXiv 2307.05080), of each mask."""
    if not find_spec("cleanlab"):
        return [None] * len(masks)
    from cleanlab.segmentation.filter import find_label_issues

    # Tiles may differ in size, and only the pixels count: all of them stand in one row.
    labels = np.concatenate([mask.ravel() for mask in masks]).astype(np.int64)
    objects = np.concatenate([reference.ravel() for reference in references])
    found = find_label_issues(labels[None, None], np.stack([1 - objects, objects])[None, :, None], n_jobs=1, verbose=False)
    ends = np.cumsum([mask.size for mask in masks])[:-1]
    return [part.reshape(mask.shape) for part, mask in zip(np.split(found.ravel(), ends), masks, strict=True)]


class JoinedWithFit(Baseline):
    """An assessor and what was learned from the layer, joined as `fit=layer` does."""

    def __init__(self, loaded: LoadedAssessor, learned: LearnedMasks) -> None:
        super().__init__()
        self.assessor, self.decoding = loaded.assessor, loaded.description.decoding
        self.calibration, self.learned = loaded.description.calibration, learned

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """See `Assessor.encode_image`."""
        features: ImageFeatures = self.assessor.encode_image(image)
        return features

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Assessor.assess`; the fit needs `assess_batch`."""
        output: AssessorOutput = self.assessor.assess(features, mask)
        return output

    def assess_batch(self, features: ImageFeatures, batch: Batch) -> AssessorOutput:
        """Logarithms of the joined probabilities; the assessor's own logits where the layer taught nothing."""
        logits = self.assess(features, batch.mask).quality_logits.float()
        assessed = quality.probabilities(logits, batch.mask, self.decoding)
        joined = logits.clone()
        for place, key in enumerate(_keys(batch)):
            if found := self.learned.get(key):
                probabilities = found.fit.join(assessed[place].cpu().numpy(), found.reference.astype(np.float32))
                joined[place] = torch.from_numpy(np.log(np.maximum(probabilities, 1e-12)))
        return AssessorOutput(joined)

    def calibrations(self, batch: Batch) -> list[Calibration]:
        """That of the layer of each mask, or the assessor's own."""
        return [self.learned[key].fit.calibration if key in self.learned else self.calibration for key in _keys(batch)]


class FitAlone(Baseline):
    """The fit without an assessor."""

    def __init__(self, learned: LearnedMasks, sources: Sequence[str]) -> None:
        super().__init__()
        self.learned, self.sources = learned, sources

    def judges(self, source: str) -> bool:
        """Whether all layers of the source were learned."""
        return source in self.sources

    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """Raises RequestError: what was learned belongs to masks of tiles, which only `assess_batch` names."""
        raise RequestError("What was learned from a layer judges the masks of its tiles only; give a batch that names them.")

    def assess_batch(self, features: ImageFeatures, batch: Batch) -> AssessorOutput:
        """Logits with the log-odds of errors that `log_odds` gives."""
        learned = [self.learned[key] for key in _keys(batch)]
        masks = batch.mask[:, 0].cpu().numpy() > 0
        odds = np.stack([self.log_odds(each, mask) for each, mask in zip(learned, masks, strict=True)])
        logits = torch.zeros(len(batch), quality.NUM_CLASSES, *odds.shape[1:], device=batch.mask.device)
        logits[:, quality.FP] = logits[:, quality.FN] = torch.from_numpy(odds).to(logits)
        return AssessorOutput(logits)

    def log_odds(self, learned: LearnedMask, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Log-odds of an error at each pixel of a mask (H, W)."""
        false, missing = learned.fit.fusion.confidence.log_odds(learned.reference.astype(np.float32))
        return np.asarray(np.where(mask, false, missing), np.float32)

    def calibrations(self, batch: Batch) -> list[Calibration] | None:
        """Cuts of the layer of each mask."""
        return [Calibration(cuts=self.learned[key].cuts) for key in _keys(batch)]


class CleanlabIssues(FitAlone):
    """The label errors that cleanlab finds with the fit's P(object), out of fold; P(error) is that of the other label."""

    def log_odds(self, learned: LearnedMask, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Log-odds of an error, above 0 where there is a label error."""
        assert learned.issues is not None
        reference = learned.reference.astype(np.float32).clip(_CERTAIN, 1 - _CERTAIN)
        odds = logit(np.where(mask, 1 - reference, reference))
        return np.asarray(np.where(learned.issues, np.maximum(odds, _APART), np.minimum(odds, -_APART)), np.float32)

    def calibrations(self, batch: Batch) -> None:
        """Its own decisions."""
        return None


def _keys(batch: Batch) -> list[tuple[str, str]]:
    return list(zip(batch.source, batch.name, strict=True))
