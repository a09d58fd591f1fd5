"""DeepGlobe 2018 road extraction: images of 1024 x 1024 px, of which only the training part has masks."""

from pathlib import Path

from segassess.prepare.readers import RasterMask, at_least
from segassess.prepare.source import DividedSource, Scene

# Masks hold more values than 0 and 255.
_THRESHOLD = 128


class DeepGlobe(DividedSource):
    """`train/<id>_sat.jpg` with `train/<id>_mask.png`."""

    title = "the DeepGlobe road extraction data"
    folders = ("", "road", "deepglobe")
    needs = ("train",)
    images, ending = "train", "_sat"

    def scene(self, name: str, image: Path, split: str) -> Scene:
        """See `DividedSource.scene`."""
        mask = image.with_name(f"{image.stem.removesuffix('_sat')}_mask.png")
        return Scene.alone(name, "deepglobe", split, image, RasterMask(mask, at_least(_THRESHOLD)))
