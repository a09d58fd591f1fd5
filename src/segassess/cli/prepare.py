"""`segassess prepare`: turn the official download of a published data set into tiles."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from segassess.errors import RequestError, SomeInputsFailed
from segassess.prepare.downloads import SOURCES
from segassess.prepare.preparation import Report, prepare

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Prepare `config.dataset` from the folder `config.download`, and print a table of its splits.

    Raises SomeInputsFailed at the end, if some scenes failed; all others are done.
    """
    dataset: dict[str, Any] = OmegaConf.to_container(config.get("dataset") or OmegaConf.create(), resolve=True)  # type: ignore[assignment]
    name = dataset.get("name")
    if name not in SOURCES:
        raise RequestError(f"dataset must be one of {', '.join(SOURCES)}, which are prepared from downloads, not {name}.")
    source = SOURCES[name](url=dataset["url"], **dataset["prepare"])
    if config.download is None:
        raise RequestError(f"download is not set; give the folder of {source.title} (from {source.url}) as download=DIR.")
    root = Path(dataset["root"])
    report = prepare(
        source,
        Path(config.download),
        root,
        dataset["recipe"]["tile_size"],
        {"dataset": name, **dataset["prepare"]},
        overwrite=bool(config.overwrite),
        track=track,
    )
    if report.resumed:
        log.info("%d scenes were done by an earlier run; set overwrite=true to make them again.", report.resumed)
    for note in report.notes:
        log.info("%s", note)
    _print_splits(report, name, root)
    for scene, reason in report.failed.items():
        log.error("%s: %s", scene, reason)
    if report.failed:
        scene, reason = next(iter(report.failed.items()))
        total = len(report.failed) + sum(split.scenes for split in report.splits.values())
        raise SomeInputsFailed(f"{len(report.failed)} of {total} scenes failed: {scene}: {reason}")


def _print_splits(report: Report, name: str, root: Path) -> None:
    table = Table(title=f"{name}: {root}")
    for heading in ("split", "scenes", "groups", "regions", "tiles", "foreground share"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split, numbers in report.splits.items():
        share = "-" if numbers.foreground_share is None else f"{numbers.foreground_share:.3f}"
        table.add_row(split, *map(str, (numbers.scenes, numbers.groups, numbers.regions, numbers.tiles)), share)
    Console(width=120).print(table)
