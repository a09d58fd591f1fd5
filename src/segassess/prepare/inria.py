"""Inria Aerial Image Labeling: 5 cities with truth, 36 scenes of 5000 x 5000 px each."""

import re
from collections.abc import Sequence
from pathlib import Path

from segassess.errors import ConfigError, RequestError
from segassess.prepare.readers import RasterMask, positive
from segassess.prepare.source import OfficialSource, Scene, Survey, Track, rasters


class Inria(OfficialSource):
    """`AerialImageDataset/train/{images,gt}/<city><number>.tif`; the part `test` has no truth and is not used.

    `test` and `valid` list scene numbers of every city; the organisers validate on 1 to 5.
    """

    title = "the Inria Aerial Image Labeling Dataset"
    folders = ("AerialImageDataset/train", "train", "")
    needs = ("images", "gt")

    def __init__(self, url: str, test: Sequence[int], valid: Sequence[int]) -> None:
        super().__init__(url)
        if both := set(test) & set(valid):
            raise ConfigError(f"dataset.prepare.test and valid both name scene {min(both)}; each scene has one split.")
        self.split_of = {**dict.fromkeys(test, "test"), **dict.fromkeys(valid, "valid")}

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        folder = self.locate(download)
        return Survey([self._scene(name, image, folder) for name, image in rasters(folder / "images").items()])

    def _scene(self, name: str, image: Path, folder: Path) -> Scene:
        city = re.fullmatch(r"(.+?)(\d+)", name)
        if city is None:
            raise RequestError(f"{image} is not named <city><number>, such as austin1.tif; remove files that are not official.")
        split = self.split_of.get(int(city[2]), "train")
        truth = RasterMask(folder / "gt" / image.name, positive)
        return Scene.alone(name, city[1], split, image, truth)
