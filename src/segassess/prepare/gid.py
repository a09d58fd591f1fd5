"""GID (Gaofen Image Dataset), the part with 5 classes: 150 scenes of Gaofen-2, reduced to water."""

from pathlib import Path

from segassess.prepare.rasters import RasterMask, of_colour
from segassess.prepare.source import TRUTH, OfficialSource, Scene, Survey, Track, assign_splits, rasters

_WATER = (0, 0, 255)


class Gid(OfficialSource):
    """`Large-scale Classification_5classes/{image_RGB/<scene>.tif,label_5classes/<scene>_label.tif}`; splits are shares."""

    title = "GID (Large-scale Classification_5classes)"
    folders = ("Large-scale Classification_5classes", "GID/Large-scale Classification_5classes", "")
    needs = ("image_RGB", "label_5classes")

    def __init__(self, url: str, test: float, valid: float, seed: int) -> None:
        super().__init__(url)
        self.shares, self.seed = {"test": test, "valid": valid}, seed

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        folder = self.locate(download)
        images = rasters(folder / "image_RGB")
        splits = assign_splits(images, self.shares, self.seed)
        water = of_colour(_WATER)
        return Survey(
            [
                Scene(
                    name,
                    name,
                    "gid",
                    splits[name],
                    image,
                    {TRUTH: RasterMask(folder / "label_5classes" / f"{image.stem}_label.tif", water)},
                )
                for name, image in images.items()
            ]
        )
