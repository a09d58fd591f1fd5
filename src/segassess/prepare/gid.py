"""GID (Gaofen Image Dataset), the part with 5 classes: 150 scenes of Gaofen-2, reduced to water."""

from pathlib import Path

from segassess.prepare.readers import RasterMask, of_colour
from segassess.prepare.source import DividedSource, Scene

_WATER = (0, 0, 255)


class Gid(DividedSource):
    """`Large-scale Classification_5classes/{image_RGB/<scene>.tif,label_5classes/<scene>_label.tif}`."""

    title = "GID (Large-scale Classification_5classes)"
    folders = ("Large-scale Classification_5classes", "GID/Large-scale Classification_5classes", "")
    needs = ("image_RGB", "label_5classes")
    images = "image_RGB"

    def scene(self, name: str, image: Path, split: str) -> Scene:
        """See `DividedSource.scene`."""
        labels = image.parents[1] / "label_5classes" / f"{image.stem}_label.tif"
        return Scene.alone(name, "gid", split, image, RasterMask(labels, of_colour(_WATER)))
