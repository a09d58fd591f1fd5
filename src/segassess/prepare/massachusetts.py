"""Massachusetts Buildings: 151 scenes of 1500 x 1500 px in three parts."""

from collections.abc import Iterator
from pathlib import Path

from segassess.prepare.readers import RasterMask, positive
from segassess.prepare.source import SPLITS, OfficialSource, Scene, Survey, Track, rasters


class Massachusetts(OfficialSource):
    """`mass_buildings/<part>/{sat/<scene>.tiff,map/<scene>.tif}`; its own three parts are kept."""

    title = "the Massachusetts Buildings Dataset"
    folders = ("mass_buildings", "")
    needs = tuple(f"{split}/{folder}" for split in SPLITS for folder in ("sat", "map"))

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        folder = self.locate(download)
        return Survey([scene for split in SPLITS for scene in self._part(folder / split, split)])

    @staticmethod
    def _part(folder: Path, split: str) -> Iterator[Scene]:
        for name, image in rasters(folder / "sat").items():
            truth = RasterMask(folder / "map" / f"{image.stem}.tif", positive)
            yield Scene.alone(name, "massachusetts", split, image, truth)
