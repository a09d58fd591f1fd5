"""How the values of an image become RGB."""

from dataclasses import dataclass
from typing import ClassVar

from segassess.options.checking import Settings
from segassess.options.option import option


@dataclass(frozen=True)
class Rendering(Settings):
    """How the values of an image become RGB in [0, 1]; None is detected from the file."""

    KEY: ClassVar = "rendering"

    bands: tuple[int, ...] | None = option(
        "Numbers, from 1, of the red, green and blue bands, or of one grey band; null is detected from the file.",
        None,
        low=1,
        lengths=(1, 3),
    )
    value_range: tuple[float, float] | None = option(
        "Values that become black and white; null keeps 8-bit data and floats in [0, 1], and stretches other data.",
        None,
        ascending=True,
    )
    percentiles: tuple[float, float] = option(
        "Percentiles of data of unknown range that become black and white.", (2, 98), low=0, high=100, ascending=True
    )
    skip_unreadable: bool = option(
        "Treat unreadable squares (a damaged block) as nodata, and name the image at the end; false refuses it. "
        "Not of images by URL, whose server may fail.",
        False,
    )
