"""Tiles: images with truth and the masks that somebody drew over them, and the layouts in which they lie on disk."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segassess.errors import InputError, RequestError
from segassess.raster import RASTER_SUFFIXES, read_image, read_mask

RAW = "raw"


@dataclass(frozen=True)
class TilePixels:
    """A tile in memory: image uint8 (H, W, 3), truth bool (H, W) or None, valid bool (H, W)."""

    image: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Tile:
    """One image with its truth and masks on disk.

    Attributes:
        name: unique within the data set.
        image: path of the image.
        truth: path of the truth, or None.
        masks: path of the mask of each source that was drawn over this tile.
        group: what must never be divided between splits (a parent tile or scene).
        region: where it lies; results are also reported per region.
    """

    name: str
    image: Path
    truth: Path | None
    masks: Mapping[str, Path] = field(default_factory=dict)
    group: str = ""
    region: str = ""

    def read(self) -> TilePixels:
        """Read image and truth.

        Raises:
            InputError: if a file cannot be read or their sizes differ.
        """
        raster = read_image(self.image)
        image = np.round(raster.pixels * 255).astype(np.uint8)
        truth = None if self.truth is None else read_mask(self.truth)
        if truth is None:
            return TilePixels(image, None, raster.valid)
        if truth.pixels.shape != image.shape[:2]:
            raise InputError(
                f"{self.truth} has {truth.pixels.shape} pixels, its image {self.image} has {image.shape[:2]}; they must match."
            )
        return TilePixels(image, truth.pixels, raster.valid & truth.valid)

    def read_mask(self, source: str) -> NDArray[np.bool_]:
        """Read the mask of a source: bool (H, W).

        Raises:
            InputError: if this tile has no mask of that source or it cannot be read.
        """
        if source not in self.masks:
            raise InputError(f"{self.name} has no mask of the source {source}; it has {', '.join(self.masks) or 'none'}.")
        return read_mask(self.masks[source]).pixels


class TileSet(ABC):
    """A data set: tiles by split, and the names of the sources whose masks lie beside them."""

    root: Path

    @abstractmethod
    def tiles(self, split: str) -> list[Tile]:
        """All tiles of a split ("train", "valid", "test", ...), in a fixed order.

        Raises:
            RequestError: if the folder or the split is missing; the sentence says what to do.
        """

    def file_sources(self, split: str) -> list[str]:
        """Sources that have a mask on disk for at least one tile of the split."""
        return sorted({source for tile in self.tiles(split) for source in tile.masks})


class FolderTiles(TileSet):
    """The reference's layout.

    `<root>/<split>/image/<stem>.*`, `binary_map/<stem>.*` or `label_checked/<stem>.*` (truth), `label_uncheck/<stem>.*`
    (source "raw"), `seg_preds/<source>/<stem>.*`.

    Args:
        root: the data set's folder.
        splits: folder name of each split, where it differs from the split's own name.
    """

    def __init__(self, root: str | Path, splits: Mapping[str, str] | None = None) -> None:
        self.root = Path(root)
        self.splits = dict(splits or {})

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        folder = self.root / self.splits.get(split, split)
        images = _by_stem(folder / "image")
        if not images:
            raise RequestError(
                f"No images found in {folder / 'image'}; "
                "dataset.root must hold <split>/image, <split>/binary_map and <split>/seg_preds/<source>."
            )
        truths = _by_stem(folder / "label_checked") or _by_stem(folder / "binary_map")
        masks = {path.name: _by_stem(path) for path in sorted((folder / "seg_preds").glob("*")) if path.is_dir()}
        if raw := _by_stem(folder / "label_uncheck"):
            masks[RAW] = raw
        return [
            Tile(
                name=stem,
                image=path,
                truth=truths.get(stem),
                masks={source: found[stem] for source, found in masks.items() if stem in found},
                group=stem,
                region=self.root.name,
            )
            for stem, path in images.items()
        ]


class SharedTiles(TileSet):
    """Tiles described by a `manifest.csv` with the columns source, name, split and group.

    Files lie at `<root>/<source>/image/<name>.png`, `mask/<name>.png` (truth) and `pred/<name>.png` (a real model's mask, here
    the source "pred"). The manifest's `source` column is where the imagery comes from, and so the region.

    Args:
        root: folder of the manifest.
        regions: keep only these regions (None: all).
    """

    def __init__(self, root: str | Path, regions: Sequence[str] | None = None) -> None:
        self.root = Path(root)
        self.regions = None if regions is None else set(regions)

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        manifest = self.root / "manifest.csv"
        if not manifest.is_file():
            raise RequestError(f"{manifest} does not exist; set dataset.root to the folder that holds manifest.csv.")
        with manifest.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        _refuse_divided_groups(rows, manifest)
        chosen = [row for row in rows if row["split"] == split and (self.regions is None or row["source"] in self.regions)]
        if not chosen:
            splits = ", ".join(sorted({row["split"] for row in rows}))
            raise RequestError(
                f"{manifest} has no tile of the split {split!r} in the chosen regions; it has the splits {splits}."
            )
        return [self._tile(row) for row in chosen]

    def _tile(self, row: Mapping[str, str]) -> Tile:
        folder, file = self.root / row["source"], f"{row['name']}.png"
        prediction = folder / "pred" / file
        return Tile(
            name=f"{row['source']}_{row['name']}",
            image=folder / "image" / file,
            truth=folder / "mask" / file,
            masks={"pred": prediction} if row.get("pred") else {},
            group=f"{row['source']}/{row['group']}",
            region=row["source"],
        )


def _refuse_divided_groups(rows: Sequence[Mapping[str, str]], manifest: Path) -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        splits.setdefault((row["source"], row["group"]), set()).add(row["split"])
    for (source, group), found in splits.items():
        if len(found) > 1:
            raise RequestError(
                f"The group {group} of {source} lies in several splits ({', '.join(sorted(found))}); mend {manifest}."
            )


def _by_stem(folder: Path) -> dict[str, Path]:
    """Raster files of a folder by stem, sorted; empty if the folder does not exist."""
    if not folder.is_dir():
        return {}
    files = (
        path for path in folder.iterdir() if path.suffix.lower().lstrip(".") in RASTER_SUFFIXES and not path.name.startswith(".")
    )
    return {path.stem: path for path in sorted(files)}
