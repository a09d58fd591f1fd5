"""What a published data set has to say of itself before its scenes are cut into tiles."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from segassess.errors import ConfigError, RequestError
from segassess.prepare.rasters import MaskReader
from segassess.raster import RASTER_SUFFIXES

# Folders of the native layout.
IMAGE, TRUTH, CHECKED, UNCHECKED = "image", "binary_map", "label_checked", "label_uncheck"
SPLITS = ("train", "valid", "test")

_ARCHIVES = frozenset({".zip", ".7z", ".001", ".tar", ".gz", ".tgz", ".rar"})

T = TypeVar("T")


class Track(Protocol):
    """Passes items on while it shows progress, as `rich.progress.track` does."""

    def __call__(self, sequence: Sequence[T], description: str) -> Iterable[T]:
        """The items of `sequence`, one after the other."""


@dataclass(frozen=True)
class Scene:
    """One image of an official download.

    Attributes:
        name: unique within the data set, without dots.
        group: what must never be divided between splits.
        region: where it lies, or the data set's name where that is not known.
        split: "train", "valid" or "test".
        image: path of the image.
        masks: by folder of the native layout; the first is the truth.
    """

    name: str
    group: str
    region: str
    split: str
    image: Path
    masks: Mapping[str, MaskReader]


@dataclass(frozen=True)
class Duplicate:
    """An image that is left out because it repeats another.

    Attributes:
        cluster: number of the images that look the same.
        kept: name of the one of them that is kept.
        dropped: name of this one.
        split: where this one would have been.
        distance: bits in which the perceptual hashes of the two differ.
    """

    cluster: int
    kept: str
    dropped: str
    split: str
    distance: int


@dataclass(frozen=True)
class Survey:
    """What a download holds.

    Attributes:
        scenes: in a fixed order.
        dropped: images that are left out, or None if nobody looked.
        notes: sentences about the choice of scenes.
    """

    scenes: Sequence[Scene]
    dropped: Sequence[Duplicate] | None = None
    notes: Sequence[str] = ()


class OfficialSource(ABC):
    """A published data set in the structure in which its authors offer it.

    Args:
        url: the official page, for messages.
    """

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
        """List the scenes of a download and their splits.

        Raises:
            RequestError: if the download is not there or incomplete; the sentence says what to do.
            ConfigError: if an option does not fit.
        """

    def holds(self, folder: Path) -> bool:
        """Whether the official files lie in this folder."""
        return all((folder / need).exists() for need in self.needs)

    def locate(self, download: Path) -> Path:
        """The folder below `download` that the official files lie in.

        Raises:
            RequestError: if there is none, or only an archive that is still packed.
        """
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


def rasters(folder: Path, ending: str = "") -> dict[str, Path]:
    """Raster files of a folder, sorted, by name: the stem without `ending` and dots. Stems that do not end so are left out.

    Raises:
        RequestError: if two files have the same name.
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
    """Split of each group: shares of all groups, chosen by seed; the others are "train".

    The order of choice is that of the groups' SHA-256, so it depends on nothing but seed and names.

    Args:
        groups: names of groups; repetitions do not count.
        shares: of the groups, by split, each in (0, 1); at least one group each.
        seed: of the choice.

    Raises:
        ConfigError: if a share is not allowed or nothing is left to learn from.
        RequestError: if there are fewer groups than splits.
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
