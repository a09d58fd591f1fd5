"""Prepares a data set: surveys the download, cuts its scenes into tiles, and writes down what came of it."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError, InputError, RequestError
from segassess.files import atomic_path
from segassess.prepare.record import Record
from segassess.prepare.source import SPLITS, Duplicate, OfficialSource, Scene, Survey, T, Track
from segassess.prepare.tiler import CutScene, cut
from segassess.version import __version__

REPORT_FILE = "preparation.json"
TILES_FILE = "tiles.csv"
DUPLICATES_FILE = "duplicates.csv"


@dataclass(frozen=True)
class SplitReport:
    """A split in numbers.

    Attributes:
        scenes: number of scenes.
        tiles: number of tiles.
        groups: number of groups.
        regions: number of regions.
        pixels: number of pixels with data.
        foreground_share: of these pixels, or None without any.
    """

    scenes: int
    tiles: int
    groups: int
    regions: int
    pixels: int
    foreground_share: float | None


@dataclass(frozen=True)
class Report:
    """What came of a preparation.

    Attributes:
        splits: numbers by split.
        failed: reasons by name of the scene.
        resumed: number of scenes that were done already.
        notes: sentences about the choice of scenes.
    """

    splits: Mapping[str, SplitReport]
    failed: Mapping[str, str]
    resumed: int
    notes: Sequence[str]


def untracked(sequence: Sequence[T], description: str) -> Iterable[T]:
    """No progress is shown."""
    return sequence


def prepare(
    source: OfficialSource,
    download: Path,
    root: Path,
    tile_size: int,
    settings: Mapping[str, Any],
    *,
    overwrite: bool = False,
    track: Track = untracked,
) -> Report:
    """Turn an official download into tiles of the native layout.

    What an earlier run with the same settings finished is left as it is. `preparation.json` is written last.

    Args:
        source: the published data set.
        download: folder of the official download; it is only read.
        root: folder of the data set to be made.
        tile_size: side of a tile in pixels.
        settings: what tiles and splits depend on, to recognise an earlier run by.
        overwrite: make all tiles anew.
        track: shows progress.

    Raises:
        RequestError: if the download is missing, or `root` holds something else or cannot be written to.
        ConfigError: if an option does not fit.
    """
    if tile_size < 1:
        raise ConfigError(f"dataset.recipe.tile_size must be at least 1, not {tile_size}.")
    survey = source.survey(download, track)
    scenes = survey.scenes
    if not scenes:
        raise RequestError(f"{download} holds no images of {source.title}; get them from {source.url}.")
    _check(scenes)
    record = Record(root, {**settings, "tile_size": tile_size}, overwrite=overwrite)
    (root / REPORT_FILE).unlink(missing_ok=True)
    record.keep({scene.name: (scene.split, scene.group, scene.region) for scene in scenes})
    waiting = [scene for scene in scenes if scene.name not in record.done]
    failed: dict[str, str] = {}
    try:
        for scene in track(waiting, "Cutting scenes"):
            try:
                record.add(cut(scene, root, tile_size))
            except InputError as error:
                failed[scene.name] = str(error)
    finally:
        done = [record.done[scene.name] for scene in scenes if scene.name in record.done]
        _write_tiles(root, done)
    report = Report({split: _numbers(done, split) for split in SPLITS}, failed, len(scenes) - len(waiting), survey.notes)
    _write_report(root, source, record.settings, survey, report)
    return report


def _check(scenes: Sequence[Scene]) -> None:
    """Refuse names that repeat and groups that lie in several splits."""
    names: set[str] = set()
    split_of: dict[str, str] = {}
    for scene in scenes:
        if scene.name in names:
            raise RequestError(f"{scene.image} has the name {scene.name}, as another image; remove one of them.")
        names.add(scene.name)
        if split_of.setdefault(scene.group, scene.split) != scene.split:
            raise RequestError(
                f"{scene.image} is of the group {scene.group}, which lies in {split_of[scene.group]} and {scene.split}; "
                "remove it from one of the two."
            )


def _numbers(done: Sequence[CutScene], split: str) -> SplitReport:
    scenes = [scene for scene in done if scene.split == split]
    pixels = sum(scene.pixels for scene in scenes)
    return SplitReport(
        scenes=len(scenes),
        tiles=sum(len(scene.tiles) for scene in scenes),
        groups=len({scene.group for scene in scenes}),
        regions=len({scene.region for scene in scenes}),
        pixels=pixels,
        foreground_share=sum(scene.foreground for scene in scenes) / pixels if pixels else None,
    )


def _write_tiles(root: Path, done: Sequence[CutScene]) -> None:
    for split in SPLITS:
        rows = [
            {"name": tile, "group": scene.group, "region": scene.region}
            for scene in done
            if scene.split == split
            for tile in scene.tiles
        ]
        _write_csv(root / split / TILES_FILE, rows, ("name", "group", "region"))


def _write_report(root: Path, source: OfficialSource, settings: Mapping[str, Any], survey: Survey, report: Report) -> None:
    if survey.dropped is not None:
        _write_csv(
            root / DUPLICATES_FILE, [asdict(image) for image in survey.dropped], [field.name for field in fields(Duplicate)]
        )
    content = {
        "version": __version__,
        "source": source.title,
        "url": source.url,
        "settings": settings,
        "splits": {split: asdict(numbers) for split, numbers in report.splits.items()},
        "failed": report.failed,
        "notes": report.notes,
    }
    with atomic_path(root / REPORT_FILE) as beside:
        beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
