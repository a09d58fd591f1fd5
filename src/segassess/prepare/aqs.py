"""BAQS and WAQS, the building and water sets of AQSNet: human masks before and after a check."""

from pathlib import Path
from typing import ClassVar

from segassess.errors import RequestError
from segassess.prepare.readers import MaskReader, RasterMask, positive
from segassess.prepare.source import CHECKED, IMAGE, UNCHECKED, DividedSource, Scene, Survey, Track, assign_splits, rasters

# Names of the parts in the authors' scripts, by what they are used as here.
_PARTS = {"train": ("train", "train512"), "valid": ("val", "val512", "valid"), "test": ("test", "test512")}


class _Aqs(DividedSource):
    """`[<part>/]{image,label_checked,label_uncheck}/<tile>.tif`; checked masks are the truth, unchecked ones the source "raw".

    Tiles without an unchecked mask are kept. With two parts, the one that is not `train` is the test split; splits without a
    part are the shares `test` and `valid` of the tiles, chosen by `seed`.
    """

    region: ClassVar[str]
    needs = (IMAGE, CHECKED)
    images = IMAGE

    def holds(self, folder: Path) -> bool:
        """See `OfficialSource.holds`."""
        return super().holds(folder) or bool(_parts(folder))

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        folder = self.locate(download)
        parts = _parts(folder)
        if not parts:
            return super().survey(download, track)
        if "train" not in parts or len(parts) == 1:
            raise RequestError(f"{folder} holds only the part {', '.join(parts)}; download {self.title} whole from {self.url}.")
        found = {part: rasters(place / IMAGE) for part, place in parts.items()}
        splits = {}
        if "valid" not in parts:
            splits = assign_splits(found["train"], {"valid": self.shares["valid"]}, self.seed)
        repeated = len({name for images in found.values() for name in images}) < sum(map(len, found.values()))
        return Survey(
            [
                self.scene(f"{part}_{name}" if repeated else name, image, splits.get(name, part) if part == "train" else part)
                for part, images in found.items()
                for name, image in images.items()
            ]
        )

    def scene(self, name: str, image: Path, split: str) -> Scene:
        """See `DividedSource.scene`."""
        checked, unchecked = (image.parents[1] / layer / f"{image.stem}.tif" for layer in (CHECKED, UNCHECKED))
        masks: dict[str, MaskReader] = {CHECKED: RasterMask(checked, positive)}
        if unchecked.is_file():
            masks[UNCHECKED] = RasterMask(unchecked, positive)
        return Scene(name, name, self.region, split, image, masks)


class Baqs(_Aqs):
    """BAQS, buildings; the authors' scripts call it BLCDataset."""

    title = "BAQS"
    region = "baqs"
    folders = ("BLCDataset", "BAQS", "")


class Waqs(_Aqs):
    """WAQS, water."""

    title = "WAQS"
    region = "waqs"
    folders = ("WAQS", "")


def _parts(folder: Path) -> dict[str, Path]:
    """Folders of the parts by split; a validation part without a test part becomes the test part."""
    parts = {split: folder / name for split, names in _PARTS.items() for name in names if (folder / name / IMAGE).is_dir()}
    if "test" not in parts and "valid" in parts:
        parts["test"] = parts.pop("valid")
    return parts
