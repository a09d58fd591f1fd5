"""Evaluate assessors and baselines on the same tiles and masks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from segassess.data.datamodule import AssessmentData
from segassess.data.sampling import TileKey, collate_tiles
from segassess.errors import CheckpointError, ConfigError, RequestError
from segassess.evaluation.result_tables import RegionResults, Results
from segassess.metrics.evaluation_metrics import ALL, MaskRow, metrics_by_region
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.baselines import Baseline, BaselineContext, baseline_class, build_baseline
from segassess.models.calibration import Calibration
from segassess.models.segmenters.fitted import FULL, FittedSegmenter
from segassess.quality import Decoding
from segassess.training.module import EvaluationModule, MaskAssessor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A method under evaluation; baselines need no decoding of their own, as they never predict an impossible class."""

    assessor: MaskAssessor
    decoding: Decoding = "consistent"
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def of(cls, loaded: LoadedAssessor) -> "Candidate":
        """A stored assessor with the decoding and calibration of its checkpoint."""
        return cls(loaded.assessor, loaded.description.decoding, loaded.description.calibration)


@dataclass(frozen=True)
class Evaluation:
    """Results by method, source and metric, and by region; a row per mask by method; the region of each tile."""

    results: Results
    regions: RegionResults
    masks: Mapping[str, Sequence[MaskRow]]
    region_of: Mapping[str, str]

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Rows as plain dictionaries, by method."""
        return {
            name: [{"region": self.region_of[row.name], **row.as_dict()} for row in found] for name, found in self.masks.items()
        }


@dataclass(frozen=True)
class Evaluator:
    """Evaluates methods on the test sources of a data module; `data.test_sources=None` becomes all sources.

    `test` runs a module's test loop over `data`. `reference_protocol` adds the published implementation's per-batch averages.
    `device` fits baselines. `networks` holds a folder of fitted networks per segmenter; these and `sam_checkpoint` (encoder
    `sam_type`) serve baselines that need them.
    """

    data: AssessmentData
    test: Callable[[EvaluationModule], None]
    reference_protocol: bool
    device: torch.device
    networks: Path
    sam_checkpoint: Path | None
    sam_type: str

    def evaluate(self, candidates: Mapping[str, Candidate], baselines: Sequence[str]) -> Evaluation:
        """Evaluate assessors, then baselines (see `with_baselines`).

        A baseline that cannot judge all sources has no result under "all", which would not compare.
        """
        modules = self.evaluate_masks(self.with_baselines(candidates, baselines))
        region_of = {tile.name: tile.region for tile in self.data.test_tiles()}
        results = {name: module.results for name, module in modules.items()}
        regions = {name: metrics_by_region(module.rows, region_of) for name, module in modules.items()}
        for name, module in modules.items():
            if module.metrics.sources != list(self.data.test_sources or ()):
                for by_source in (results[name], *regions[name].values()):
                    by_source.pop(ALL, None)
        return Evaluation(results, regions, {name: module.rows for name, module in modules.items()}, region_of)

    def with_baselines(self, candidates: Mapping[str, Candidate], baselines: Sequence[str]) -> dict[str, Candidate]:
        """Add the baselines, fitted on the train split, after the candidates; leave out those that lack something.

        Raises ConfigError if a baseline's name is unknown, CheckpointError if networks or SAM's checkpoint cannot be loaded,
        RequestError if there are no masks to evaluate.
        """
        data = self.data
        if data.test_sources is None:
            data.test_sources = data.test_source_names()
        if not data.test_sources:
            raise RequestError(
                f"The split {data.test_split!r} of {data.tileset.root} has no masks to evaluate; put them into "
                "seg_preds/<source>/."
            )
        return {**candidates, **{name: Candidate(baseline) for name, baseline in self._fitted(baselines).items()}}

    def evaluate_masks(self, methods: Mapping[str, Candidate]) -> dict[str, EvaluationModule]:
        """Evaluate every method on the test sources that it can judge; methods that can judge none are left out."""
        every = list(self.data.test_sources or ())
        modules = {}
        for name, method in methods.items():
            if not (judged := judged_sources(method.assessor, every)):
                continue
            module = EvaluationModule(method.assessor, judged, method.decoding, self.reference_protocol, method.calibration)
            self.data.test_sources = judged
            try:
                self.test(module)
            finally:
                self.data.test_sources = every
            modules[name] = module
        return modules

    def _fitted(self, names: Sequence[str]) -> dict[str, Baseline]:
        if not names:
            return {}
        # Refuse unknown names before loading or fitting anything.
        classes = [baseline_class(name) for name in names]
        context = self._context(any(kind.asks_segmenters for kind in classes))
        baselines: dict[str, Baseline] = {}
        for name in names:
            try:
                baseline = build_baseline(name, context)
                if not judged_sources(baseline, self.data.test_sources or ()):
                    raise RequestError(f"it cannot judge masks of {', '.join(self.data.test_sources or ())}.")
                fit_baseline(baseline, self.data, self.device)
            except (ConfigError, CheckpointError):
                raise
            except RequestError as error:
                log.warning("%s is left out: %s", name, error)
                continue
            baselines[baseline.name] = baseline
        return baselines

    def _context(self, asks_segmenters: bool) -> BaselineContext:
        """Resources for baselines; loads networks only if a baseline needs them, and only of sources that occur."""
        try:
            learned, tiles = self.data.train_sources, self.data.training_tiles()
        except RequestError:
            # Baselines that learn will say so themselves.
            learned, tiles = [], []
        networks = {}
        if asks_segmenters:
            found = sorted(path.parent for path in self.networks.glob(f"*/{FULL}"))
            occurring = {*learned, *(self.data.test_sources or ())}
            networks = {path.name: FittedSegmenter.load(path, path.name) for path in found if path.name in occurring}
        return BaselineContext(
            networks=networks,
            learned_sources=learned,
            keys={tile.name: tile.key for tile in tiles},
            judged_keys=[tile.key for tile in self.data.test_tiles()],
            sam_checkpoint=self.sam_checkpoint,
            sam_type=self.sam_type,
        )


def judged_sources(method: MaskAssessor, sources: Sequence[str]) -> list[str]:
    """The sources whose masks a method can judge."""
    return [source for source in sources if not isinstance(method, Baseline) or method.judges(source)]


def fit_baseline(baseline: Baseline, data: AssessmentData, device: torch.device) -> None:
    """Fit a baseline on whole training tiles with the training sources, on `device`.

    Raises RequestError if there is no train split.
    """
    if not baseline.learns:
        return
    dataset = data.evaluation_dataset(data.training_tiles(), data.train_sources)
    for index in track(range(len(dataset)), description=f"Fitting {baseline.name}", transient=True):
        baseline.fit_batch(collate_tiles([dataset[TileKey(index)]]).to(device))
    baseline.finish_fit()
