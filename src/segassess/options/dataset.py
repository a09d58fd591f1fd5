"""Data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from segassess.options.option import Limits, option


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Settings of a training of the published size; the threshold is for segmenters."""

    tile_size: int | None = option("Side of the tiles in pixels; null if they differ.", low=1)
    images_per_batch: int = option("Images per batch, over all processes.", low=1)
    epochs: int = option("Epochs.", low=1)
    threshold: float = option("Probability above which a pixel belongs to a segmenter's mask.", above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """How an official download becomes tiles; each data set has some of these keys (docs/datasets.md says why)."""

    test: tuple[int, ...] | Annotated[float, Limits(above=0, below=1)] = option(
        "Test split: a share, or scenes of each city (Inria).", low=1
    )
    valid: tuple[int, ...] | Annotated[float, Limits(above=0, below=1)] = option(
        "Validation split: a share, or scenes of each city (Inria).", low=1
    )
    seed: int = option("Seed of the choice.", low=0)
    annotations: str = option("File of annotations: annotation.json, or the organisers' smaller annotation-small.json.")
    deduplicate: bool = option(
        "Keep one of several images that look the same; false keeps all, even those of val that occur in train."
    )
    max_distance: int = option("Bits in which the 64-bit perceptual hashes of equal images may differ.", low=0, high=63)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What every data set says of itself, and a class of your own."""

    _target_: str = option("The class of its tiles.")
    name: str = option("Name of the data set, in the names of folders.")
    made: str | tuple[str, ...] = option(
        "Sources made on the fly: recipes of perturbations, or `discriminant`, a classical segmenter."
    )
    held_out: str | tuple[str, ...] = option("Unseen sources.")
    object: Literal["building", "road", "water"] = option("The object that truth and masks show.")
    recipe: RecipeOptions = option("Settings of a training of the published size; the threshold is for segmenters.")
    url: str = option("The official page.", path=True)
    licence: str = option("Known facts about the licence; the official page decides.", longest=1000)
    prepare: PrepareOptions = option("How the official download becomes tiles (docs/datasets.md says why).")


@dataclass(frozen=True, kw_only=True)
class FolderTiles(Dataset):
    """Tiles in the reference's layout."""

    _target_: Literal["segassess.data.tiles.FolderTiles"] = option("The class of its tiles.")
    root: str = option("The data set.", path=True)
    splits: Mapping[str, str] = option("Folders of splits that are named differently, for example {valid: val}.")
    train_regions: str | tuple[str, ...] | None = option(
        "Train and select checkpoints only on these regions (tiles.csv); null is all."
    )
    advice: str = option("Advice that is shown when the tiles are missing.", longest=1000)


@dataclass(frozen=True, kw_only=True)
class SharedTiles(Dataset):
    """Tiles that a manifest describes."""

    _target_: Literal["segassess.data.tiles.SharedTiles"] = option("The class of its tiles.")
    root: str = option("The folder of manifest.csv.", path=True)
    masks_root: str = option("Folder for masks of segmenters, since the folder of the manifest stays untouched.", path=True)
    regions: str | tuple[str, ...] | None = option("Keep only these regions (the manifest's `source` column); null is all.")
    train_regions: str | tuple[str, ...] | None = option("Train and select checkpoints only on these regions; null is all.")


@dataclass(frozen=True, kw_only=True)
class SyntheticTiles(Dataset):
    """Generated scenes."""

    _target_: Literal["segassess.data.synthetic_tiles.SyntheticTiles"] = option("The class of its tiles.")
    root: str = option("Where scenes are written.", path=True)
    train: int = option("Training scenes", low=1)
    valid: int = option("Validation scenes", low=1)
    test: int = option("Test scenes", low=1)
    size: int = option("Side of a scene in pixels.", low=1)
    seed: int = option("Seed of the scenes.", low=0)


@dataclass(frozen=True, kw_only=True)
class ExtendedTiles(Dataset):
    """A data set, and others for training only."""

    _target_: Literal["segassess.data.extended_tiles.ExtendedTiles"] = option("The class of its tiles.")
    base: FolderTiles | SharedTiles | SyntheticTiles | Dataset = option("The data set that is extended.")
    added: Mapping[str, FolderTiles | SharedTiles | SyntheticTiles | Dataset | None] = option(
        "Data sets by name; only their training scenes are used."
    )


@dataclass(frozen=True, kw_only=True)
class JoinedTiles(Dataset):
    """Several data sets as one."""

    _target_: Literal["segassess.data.extended_tiles.JoinedTiles"] = option("The class of its tiles.")
    parts: Mapping[str, FolderTiles | SharedTiles | SyntheticTiles | Dataset | None] = option(
        "Data sets by a name; each split holds the tiles of all of them."
    )


DatasetOptions: TypeAlias = FolderTiles | SharedTiles | SyntheticTiles | ExtendedTiles | JoinedTiles | Dataset
