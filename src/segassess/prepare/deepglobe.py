"""DeepGlobe 2018 road extraction: images of 1024 x 1024 px, of which only the training part has masks."""

from pathlib import Path

from segassess.prepare.rasters import RasterMask, at_least
from segassess.prepare.source import TRUTH, OfficialSource, Scene, Survey, Track, assign_splits, rasters

# Masks hold more values than 0 and 255.
_THRESHOLD = 128


class DeepGlobe(OfficialSource):
    """`train/<id>_sat.jpg` with `train/<id>_mask.png`; `test` and `valid` are shares of the images, chosen by `seed`."""

    title = "the DeepGlobe road extraction data"
    folders = ("", "road", "deepglobe")
    needs = ("train",)

    def __init__(self, url: str, test: float, valid: float, seed: int) -> None:
        super().__init__(url)
        self.shares, self.seed = {"test": test, "valid": valid}, seed

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        folder = self.locate(download) / "train"
        images = rasters(folder, "_sat")
        splits = assign_splits(images, self.shares, self.seed)
        return Survey(
            [Scene(name, name, "deepglobe", splits[name], image, {TRUTH: self._truth(image)}) for name, image in images.items()]
        )

    @staticmethod
    def _truth(image: Path) -> RasterMask:
        return RasterMask(image.with_name(f"{image.stem.removesuffix('_sat')}_mask.png"), at_least(_THRESHOLD))
