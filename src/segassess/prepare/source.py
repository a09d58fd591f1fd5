"""The interface of published data sets: their scenes, groups and splits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from segassess.errors import ConfigError, RequestError
from segassess.prepare.readers import MaskReader
from segassess.raster import RASTER_SUFFIXES

# Folders of the native layout.
IMAGE, TRUTH, CHECKED, UNCHECKED = "image", "binary_map", "label_checked", "label_uncheck"
SPLITS = ("train", "valid", "test")

_ARCHIVES = frozenset({".zip", ".7z", ".001", ".tar", ".gz", ".tgz", ".rar"})

# Passes the items of a sequence on while it shows progress under a description, as `rich.progress.track` does.
Track: TypeAlias = Callable[[Sequence[Any], str], Iterable[Any]]


@dataclass(frozen=True)
class Scene:
    """One image of an official download.

    `name` is unique and has no dots; `group` is never divided between splits; `region` is the data set's name if unknown;
    `masks` go by folder of the native layout, the truth first.
    """

    name: str
    group: str
    region: str
    split: str
    image: Path
    masks: Mapping[str, MaskReader]

    @classmethod
    def alone(cls, name: str, region: str, split: str, image: Path, truth: MaskReader) -> "Scene":
        """A scene that is a group by itself, with the truth as its only mask."""
        return cls(name, name, region, split, image, {TRUTH: truth})


@dataclass(frozen=True)
class Duplicate:
    """An image that is left out because it looks like `kept`; their hashes differ in `distance` bits."""

    cluster: int
    kept: str
    dropped: str
    split: str
    distance: int


@dataclass(frozen=True)
class Survey:
    """Scenes of a download in a fixed order, duplicates that are left out (None: not searched), and notes for the report."""

    scenes: Sequence[Scene]
    dropped: Sequence[Duplicate] | None = None
    notes: Sequence[str] = ()


class OfficialSource(ABC):
    """A published data set in its authors' folder structure; `url` is the official page, for messages."""

    # What to download, for messages.
    title: ClassVar[str]
    # Where the data may lie below `download`, the official place first.
    folders: ClassVar[tuple[str, ...]]
    # What such a folder must hold.
    needs: tuple[str, ...]

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def survey(self, download: Path, track: Track) -> Survey:
        """List scenes and splits; raises RequestError for an incomplete download, ConfigError if an option does not fit."""

    def holds(self, folder: Path) -> bool:
        """Whether the official files lie in this folder."""
        return all((folder / need).exists() for need in self.needs)

    def locate(self, download: Path) -> Path:
        """The folder at or below `download` with the official files; raises RequestError if none has them, unpacked."""
        for folder in self.folders:
            if self.holds(download / folder):
                return download / folder
        expected = Path(self.folders[0], self.needs[0])
        packed = [download] if download.is_file() else sorted(download.iterdir()) if download.is_dir() else []
        for file in packed:
            if file.suffix.lower() in _ARCHIVES:
                raise RequestError(f"{file} is still packed; unpack it so that {file.parent / expected} exists.")
        raise RequestError(
            f"{download / expected} does not exist; download {self.title} from {self.url}, unpack it and give its folder "
            "as download=."
        )


class DividedSource(OfficialSource):
    """A data set that its authors did not divide: `test` and `valid` are shares of its images, chosen by `seed`."""

    # Folder of the images, and how their names end.
    images: ClassVar[str]
    ending: ClassVar[str] = ""

    def __init__(self, url: str, test: float, valid: float, seed: int) -> None:
        super().__init__(url)
        self.shares, self.seed = {"test": test, "valid": valid}, seed

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        images = rasters(self.locate(download) / self.images, self.ending)
        splits = assign_splits(images, self.shares, self.seed)
        return Survey([self.scene(name, image, splits[name]) for name, image in images.items()])

    @abstractmethod
    def scene(self, name: str, image: Path, split: str) -> Scene:
        """The scene of an image."""


def rasters(folder: Path, ending: str = "") -> dict[str, Path]:
    """Raster files of a folder, sorted, whose stem ends with `ending`, by the stem without it and without dots.

    Raises RequestError if two files have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower().lstrip(".") in RASTER_SUFFIXES and path.stem.endswith(ending) and path.name[0] != ".":
            name = plain_name(path.stem.removesuffix(ending))
            if found.setdefault(name, path) != path:
                raise RequestError(f"{path} and {found[name].name} would both be named {name}; remove one of them.")
    return found


def plain_name(stem: str) -> str:
    """A stem without dots, at which other programs cut names."""
    return stem.replace(".", "_")


def assign_splits(groups: Iterable[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Split of each group: `shares` in (0, 1) of the groups, at least one group each, by split; the others are "train".

    Groups are ordered by the SHA-256 of seed and name, so the choice depends on nothing else. Raises ConfigError if a share is
    not allowed or nothing is left for training, RequestError if there are fewer groups than splits.
    """
    for split, share in shares.items():
        if not 0 < share < 1:
            raise ConfigError(f"dataset.prepare.{split} must be a share between 0 and 1, not {share}.")
    ordered = sorted(set(groups), key=lambda group: sha256(f"{seed}/{group}".encode()).digest())
    if len(ordered) <= len(shares):
        raise RequestError(f"{len(ordered)} groups are too few for {len(shares) + 1} splits; the download is incomplete.")
    counts = {split: max(1, round(share * len(ordered))) for split, share in shares.items()}
    if sum(counts.values()) >= len(ordered):
        raise ConfigError(
            f"dataset.prepare ({', '.join(f'{split}: {share}' for split, share in shares.items())}) leaves nothing to train on."
        )
    chosen = [split for split, count in counts.items() for _ in range(count)]
    return {group: chosen[place] if place < len(chosen) else "train" for place, group in enumerate(ordered)}
