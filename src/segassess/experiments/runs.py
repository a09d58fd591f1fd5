"""Results and notes in the folders of a sweep's runs."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from segassess.metrics.evaluation_metrics import ALL


class Score(NamedTuple):
    """Metrics of one method on the masks of one source in one region; "all" pools sources or regions."""

    method: str
    baseline: bool
    region: str
    source: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """Contents of one run's folder.

    `name` is the folder below that of the sweep, `overrides` are by key, and `unseen` are sources that the assessor was not
    trained on. `regions` is empty without restriction. `circumstances` say how it was evaluated. `reasons` say why there are no
    `scores`, by source, or under "all" for the whole run. `ending` is "failed", "missing" or "". `monitor` names a training's
    objective. `outcome` is `{"objective": float or None, "seconds": float}` (`experiments.sweep`), or {} if the run is not done.
    """

    name: str
    overrides: Mapping[str, str]
    dataset: str
    unseen: frozenset[str]
    regions: frozenset[str]
    circumstances: str
    scores: Sequence[Score]
    reasons: Mapping[str, str]
    ending: str
    monitor: str
    outcome: Mapping[str, Any]

    @property
    def objective(self) -> float:
        """The run's return value, higher is better; NaN without one."""
        value = self.outcome.get("objective")
        return math.nan if value is None else float(value)


def read_runs(folder: Path) -> list[Run]:
    """Read the runs below a folder, in the order of their numbers or names."""

    def position(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in path.relative_to(folder).parts]

    paths = (file.parents[1] for file in folder.rglob(".hydra/overrides.yaml"))
    return [_read_run(path, folder) for path in sorted(paths, key=position)]


def _read_run(path: Path, folder: Path) -> Run:
    config, overrides, hydra = (OmegaConf.load(path / ".hydra" / f"{name}.yaml") for name in ("config", "overrides", "hydra"))
    failed, missing, content, done = (_json(path / f"{name}.json") for name in ("failed", "missing", "metrics", "done"))
    if not {"about", "results", "regions"} <= content.keys():
        content = {}  # not of an evaluation by source
    reason = failed.get("reason") or missing.get("reason") or (None if content else "not evaluated." if done else "not finished.")
    about = {} if reason else content["about"]
    training = about.get("training") or about.get("trained_on") or {}
    held_out = OmegaConf.select(config, "held_out") or []
    splits = about.get("split", "")
    return Run(
        name=path.relative_to(folder).as_posix(),
        overrides=dict(str(override).lstrip("+").split("=", 1) for override in overrides if "=" in str(override)),
        dataset=str(OmegaConf.select(hydra, "hydra.runtime.choices.dataset")),
        unseen=frozenset(about.get("unseen", [held_out] if isinstance(held_out, str) else held_out)),
        regions=frozenset(training.get("dataset", {}).get("train_regions") or []),
        circumstances=""
        if reason
        else f"Split {splits if isinstance(splits, str) else ' + '.join(splits)}, {about['decoding']} decoding.",
        scores=[] if reason else list(_scores(content)),
        reasons={ALL: reason} if reason else missing.get("sources", {}),
        ending="failed" if failed else "missing" if "reason" in missing else "",
        monitor=str(OmegaConf.select(config, "monitor") or ""),
        outcome={} if failed or "reason" in missing else done,
    )


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def _scores(content: Mapping[str, Any]) -> Iterator[Score]:
    """Results of a `metrics.json`; the assessor is its first method."""
    for position, (method, by_source) in enumerate(content["results"].items()):
        for region, results in {ALL: by_source, **content["regions"][method]}.items():
            for source, metrics in results.items():
                values = {name: math.nan if value is None else value for name, value in metrics.items()}
                yield Score(method, position > 0, region, source, values)


def varied_keys(runs: Sequence[Run]) -> list[str]:
    """The overridden keys in which runs differ; all of them for a single run."""
    keys = dict.fromkeys(key for run in runs for key in run.overrides)
    return [key for key in keys if len(runs) == 1 or len({run.overrides.get(key) for run in runs}) > 1]
