"""Prepares a data set: surveys the download, cuts its scenes into tiles, and writes the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from segassess.errors import ConfigError, InputError, RequestError
from segassess.files import write_json
from segassess.prepare.record import Record
from segassess.prepare.source import SPLITS, Duplicate, OfficialSource, Scene, Survey, Track
from segassess.prepare.tiler import CutScene, cut
from segassess.spreadsheets import write_rows
from segassess.version import __version__

REPORT_FILE = "preparation.json"
TILES_FILE = "tiles.csv"
DUPLICATES_FILE = "duplicates.csv"


@dataclass(frozen=True)
class SplitReport:
    """Counts of a split; `pixels` have data, `foreground_share` is theirs and None without pixels."""

    scenes: int
    tiles: int
    groups: int
    regions: int
    pixels: int
    foreground_share: float | None


@dataclass(frozen=True)
class Report:
    """Result of a preparation: counts by split, reasons of failed scenes by name, number of scenes done earlier, and notes."""

    splits: Mapping[str, SplitReport]
    failed: Mapping[str, str]
    resumed: int
    notes: Sequence[str]


def untracked(sequence: Sequence[Any], description: str) -> Iterable[Any]:
    """The items without a display of progress."""
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
    """Turn an official download, which is only read, into tiles of `tile_size` px in the native layout below `root`.

    Scenes that an earlier run with the same `settings` finished are kept unless `overwrite`. `preparation.json` is written
    last. Raises RequestError if the download is missing or `root` holds other data or cannot be written, ConfigError for a
    wrong option.
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
    """Refuse repeated names and groups that lie in several splits."""
    names: set[str] = set()
    split_of: dict[str, str] = {}
    for scene in scenes:
        if scene.name in names:
            raise RequestError(f"{scene.image} has the same name as another image, {scene.name}; remove one of them.")
        names.add(scene.name)
        if split_of.setdefault(scene.group, scene.split) != scene.split:
            raise RequestError(
                f"{scene.image} belongs to the group {scene.group}, which lies in {split_of[scene.group]} and {scene.split}; "
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
        write_rows(root / split / TILES_FILE, ("name", "group", "region"), rows)


def _write_report(root: Path, source: OfficialSource, settings: Mapping[str, Any], survey: Survey, report: Report) -> None:
    if survey.dropped is not None:
        write_rows(root / DUPLICATES_FILE, [field.name for field in fields(Duplicate)], map(asdict, survey.dropped))
    content = {
        "version": __version__,
        "source": source.title,
        "url": source.url,
        "settings": settings,
        "splits": {split: asdict(numbers) for split, numbers in report.splits.items()},
        "failed": report.failed,
        "notes": report.notes,
    }
    write_json(root / REPORT_FILE, content, ensure_ascii=False)
