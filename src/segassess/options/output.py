"""What is written of a judged mask, and how finely."""

from dataclasses import dataclass
from typing import ClassVar

from segassess.options.checking import Settings
from segassess.options.option import option


@dataclass(frozen=True)
class OutputSettings(Settings):
    """What is written of a judged mask, and how finely."""

    KEY: ClassVar = "output"

    review_tile: int = option("Side of the tiles of tiles.csv in pixels.", 512, low=16)
    min_area_m2: float | None = option(
        "Smallest error and object in square metres; null, or where the size of a pixel is unknown, is 25 pixels.", None, low=0
    )
    rim_px: int = option(
        "Error regions are taken apart into areas, which a disc of this radius in pixels fits into, and rims; 0: whole.",
        3,
        low=0,
        high=8,
    )
    simplify_px: float = option(
        "By how many pixels outlines may be simplified; 0 follows the edges of pixels, so that areas agree with the maps.",
        0.0,
        low=0,
    )
    geojson: bool = option("Write the layers as GeoJSON in WGS 84 as well.", False)
    parquet: bool = option("Write the tables as Parquet as well (pip install 'segassess[parquet]').", False)
