"""Tiles (image, truth and masks) and the layouts in which they lie on disk."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segassess.errors import InputError, RequestError
from segassess.raster import RASTER_SUFFIXES, read_image, read_mask
from segassess.spreadsheets import read_rows

RAW = "raw"
SPLITS = ("train", "valid", "test")  # no group of tiles may lie in two of them


@dataclass(frozen=True)
class TilePixels:
    """Image uint8 (H, W, 3), truth bool (H, W) or None, valid bool (H, W)."""

    image: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Tile:
    """Paths of an image, its truth and its masks."""

    name: str  # unique within its split
    image: Path
    truth: Path | None
    masks: Mapping[str, Path] = field(default_factory=dict)  # by source
    group: str = ""  # parent tile or scene, never divided between splits
    region: str = ""  # results are also reported per region
    key: str = ""  # unique in the data set, for a network's record of seen tiles; default: name
    gsd: float | None = None  # metres per pixel

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)

    def read(self) -> TilePixels:
        """Read image and truth; InputError if a file cannot be read or the sizes differ."""
        raster = read_image(self.image)
        image = np.round(raster.pixels * 255).astype(np.uint8)
        if self.truth is None:
            return TilePixels(image, None, raster.valid)
        truth = read_mask(self.truth)
        if truth.pixels.shape != image.shape[:2]:
            raise InputError(
                f"{self.truth} has {truth.pixels.shape} pixels, its image {self.image} has {image.shape[:2]}; they must match."
            )
        return TilePixels(image, truth.pixels, raster.valid & truth.valid)

    def read_mask(self, source: str) -> NDArray[np.bool_]:
        """Read the mask of a source: bool (H, W); InputError if there is none or it cannot be read."""
        if source not in self.masks:
            raise InputError(f"{self.name} has no mask of the source {source}; it has {', '.join(self.masks) or 'none'}.")
        return read_mask(self.masks[source]).pixels


class TileSet(ABC):
    """A data set; only tiles of `train_regions` (None: all) are learned from and select checkpoints."""

    def __init__(self, root: str | Path, train_regions: str | Sequence[str] | None = None) -> None:
        self.root = Path(root)
        self.train_regions = _names(train_regions)

    @abstractmethod
    def tiles(self, split: str) -> list[Tile]:
        """All tiles of a split ("train", "valid", "test", ...) in a fixed order.

        Raises RequestError if the folder or the split is missing, or a group lies in several splits.
        """

    @abstractmethod
    def mask_folder(self, split: str, source: str) -> Path:
        """Folder for a source's masks of a split, `<tile name>.tif` each, and their record."""

    def learning_tiles(self, split: str) -> list[Tile]:
        """Tiles of a split in `train_regions`; RequestError if there are none."""
        tiles = self.tiles(split)
        if self.train_regions is None:
            return tiles
        if kept := [tile for tile in tiles if tile.region in self.train_regions]:
            return kept
        regions = ", ".join(sorted({tile.region for tile in tiles}))
        raise RequestError(
            f"dataset.train_regions ({', '.join(sorted(self.train_regions))}) leaves no tile of the split {split!r}; "
            f"it has the regions {regions}."
        )

    def selectable_tiles(self) -> list[Tile]:
        """Training tiles of which `sampling.selection_share` may be set aside to select and calibrate."""
        return self.learning_tiles("train")


def _names(chosen: str | Sequence[str] | None) -> set[str] | None:
    """One name or several; None for all."""
    return None if chosen is None else {chosen} if isinstance(chosen, str) else set(chosen)


def sources_on_disk(tiles: Sequence[Tile]) -> list[str]:
    """Sources with a mask file of at least one tile."""
    return sorted({source for tile in tiles for source in tile.masks})


class FolderTiles(TileSet):
    """The reference's layout.

    `<root>/<split>/image/<stem>.*`, `binary_map/<stem>.*` or `label_checked/<stem>.*` (truth), `label_uncheck/<stem>.*` (source
    "raw"), `seg_preds/<source>/<stem>.*`, and optionally `tiles.csv` with the columns name (the stem), group and region; without
    it every tile is its own group. Stems may repeat between splits. `splits` maps splits to other folder names; `advice` is a
    sentence on how to get missing data.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Mapping[str, str] | None = None,
        advice: str = "",
        train_regions: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(root, train_regions)
        self.splits = dict(splits or {})
        self.advice = advice or "dataset.root must hold <split>/image, <split>/binary_map and <split>/seg_preds/<source>."

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        folder = self._folder(split)
        images = _by_stem(folder / "image")
        if not images:
            raise RequestError(f"No images found in {folder / 'image'}; {self.advice}")
        truths = _by_stem(folder / "label_checked") or _by_stem(folder / "binary_map")
        masks = _masks_by_source(folder / "seg_preds")
        if raw := _by_stem(folder / "label_uncheck"):
            masks[RAW] = raw
        origins = self._origins(split, images)
        return [
            Tile(
                name=stem,
                image=path,
                truth=truths.get(stem),
                masks={source: found[stem] for source, found in masks.items() if stem in found},
                group=origins[stem]["group"] if origins else f"{split}/{stem}",
                region=origins[stem]["region"] if origins else self.root.name,
                key=f"{Path(self.splits.get(split, split)).as_posix()}/{stem}",
            )
            for stem, path in images.items()
        ]

    def mask_folder(self, split: str, source: str) -> Path:
        """See `TileSet.mask_folder`."""
        return self._folder(split) / ("label_uncheck" if source == RAW else f"seg_preds/{source}")

    def _folder(self, split: str) -> Path:
        return self.root / self.splits.get(split, split)

    def _origins(self, split: str, images: Mapping[str, Path]) -> dict[str, dict[str, str]]:
        """Rows of the split's `tiles.csv` by stem; empty without one.

        Raises RequestError if a group lies in several splits, or rows and images do not match, because tiles would lose their
        group.
        """
        # A user may map several splits to one folder.
        files = {self._folder(each) / "tiles.csv": each for each in (*SPLITS, split)}
        found = {file: _origins(file) for file in files}
        _refuse_divided_groups(
            [(row["region"], row["group"], files[file]) for file, rows in found.items() for row in rows.values()],
            self._folder(split) / "tiles.csv",
        )
        file = self._folder(split) / "tiles.csv"
        rows = found[file]
        if rows and (lost := sorted(rows.keys() - images.keys())):
            raise RequestError(
                f"{len(lost)} rows of {file} (first: {lost[0]}) match no image of {file.parent / 'image'}; correct their names."
            )
        if rows and (lost := sorted(images.keys() - rows.keys())):
            raise RequestError(f"{len(lost)} images (first: {images[lost[0]]}) have no row in {file}; add a row for each.")
        return rows


class SharedTiles(TileSet):
    """Tiles listed in `manifest.csv` with the columns source (the region), name, split and group.

    The read-only folder holds `<source>/image/<name>.png`, `mask/<name>.png` (truth) and `pred/<name>.png` (the source "pred").
    Segmenters' masks lie at `<masks_root>/<split>/seg_preds/<source>/<tile name>.*`. Only tiles of `regions` (None: all) are
    kept.

    Optional columns: `image` and `pred` (file names), `producer` (the network that drew `pred`, and so the name of its
    source) and `gsd_m`.
    """

    def __init__(
        self,
        root: str | Path,
        masks_root: str | Path,
        regions: str | Sequence[str] | None = None,
        train_regions: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(root, train_regions)
        self.masks_root = Path(masks_root)
        self.regions = _names(regions)

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`."""
        manifest = self.root / "manifest.csv"
        if not manifest.is_file():
            raise RequestError(f"{manifest} does not exist; set dataset.root to the folder that holds manifest.csv.")
        with manifest.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        _refuse_divided_groups([(row["source"], row["group"], row["split"]) for row in rows], manifest)
        chosen = [row for row in rows if row["split"] == split and (self.regions is None or row["source"] in self.regions)]
        if not chosen:
            splits = ", ".join(sorted({row["split"] for row in rows}))
            raise RequestError(
                f"{manifest} has no tile of the split {split!r} in the chosen regions; it has the splits {splits}."
            )
        drawn = _masks_by_source(self.masks_root / split / "seg_preds")
        return [self._tile(row, drawn) for row in chosen]

    def mask_folder(self, split: str, source: str) -> Path:
        """See `TileSet.mask_folder`."""
        return self.masks_root / split / "seg_preds" / source

    def _tile(self, row: Mapping[str, str], drawn: Mapping[str, Mapping[str, Path]]) -> Tile:
        folder, file = self.root / row["source"], f"{row['name']}.png"
        name = f"{row['source']}_{row['name']}"
        masks = {source: found[name] for source, found in drawn.items() if name in found}
        if pred := row.get("pred"):
            masks[row.get("producer") or "pred"] = folder / "pred" / (pred if Path(pred).suffix else file)
        return Tile(
            name=name,
            image=folder / "image" / (row.get("image") or file),
            truth=folder / "mask" / file,
            masks=masks,
            group=f"{row['source']}/{row['group']}",
            region=row["source"],
            gsd=float(row["gsd_m"]) if row.get("gsd_m") else None,
        )


def _refuse_divided_groups(places: Iterable[tuple[str, str, str]], file: Path) -> None:
    """Raise RequestError if, of (region, group, split), a group lies in several splits; `file` is the one to fix."""
    splits: dict[tuple[str, str], set[str]] = {}
    for region, group, split in places:
        splits.setdefault((region, group), set()).add(split)
    for (region, group), found in splits.items():
        if len(found) > 1:
            raise RequestError(f"The group {group} of {region} lies in several splits ({', '.join(sorted(found))}); fix {file}.")


def _origins(file: Path) -> dict[str, dict[str, str]]:
    """Rows of a `tiles.csv` by stem; empty if it does not exist."""
    if not file.is_file():
        return {}
    rows: dict[str, dict[str, str]] = {}
    for number, row in read_rows(file, ("name", "group", "region")):
        name = Path(row["name"])
        stem = name.stem if name.suffix.lower().lstrip(".") in RASTER_SUFFIXES else row["name"]
        if stem in rows:
            raise RequestError(f"Row {number} of {file} repeats {stem}; keep one row.")
        rows[stem] = row
    return rows


def _masks_by_source(folder: Path) -> dict[str, dict[str, Path]]:
    """Masks by source and stem; each subfolder that is not hidden (`.ipynb_checkpoints`) is a source."""
    return {path.name: _by_stem(path) for path in sorted(folder.glob("*")) if path.is_dir() and not path.name.startswith(".")}


def _by_stem(folder: Path) -> dict[str, Path]:
    """Rasters of a folder by stem, sorted; empty without a folder, RequestError if two share a stem."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower().lstrip(".") not in RASTER_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise RequestError(f"{found[path.stem]} and {path.name} have the same name; remove one, or rename it.")
        found[path.stem] = path
    return found
